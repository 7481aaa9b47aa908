//! The page of kernel code that every process has: clocks are read there, without a system call.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};

/// The vDSO of this kernel, and where in it clocks are read.
#[derive(Clone, Debug)]
pub(super) struct Vdso {
    pub(super) image: Vec<u8>,
    /// `clock_gettime`, `gettimeofday` and `time`: offsets into the image.
    pub(super) functions: [Range<usize>; 3],
}

const NAMES: [&str; 3] = ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"];

impl Vdso {
    /// That of the calling process, which nobody has changed.
    pub(super) fn own() -> Result<Vdso> {
        let range = find("self")?;
        let mut image = vec![0; (range.end - range.start) as usize];
        File::open("/proc/self/mem")?.read_exact_at(&mut image, range.start).context("reading the vDSO")?;
        let functions = NAMES.map(|name| symbol(&image, name));
        let [clock_gettime, timeofday, time] = functions;
        let missing = || format!("this kernel's vDSO has not all of {}", NAMES.join(", "));
        let functions = [
            clock_gettime.with_context(missing)?,
            timeofday.with_context(missing)?,
            time.with_context(missing)?,
        ];
        Ok(Vdso { image, functions })
    }
}

/// Where the vDSO of a process lies.
pub(super) fn find(process: &str) -> Result<Range<u64>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))
        .with_context(|| format!("reading the maps of {process}"))?;
    let line = maps
        .lines()
        .find(|line| line.ends_with("[vdso]"))
        .with_context(|| format!("process {process} has no vDSO"))?;
    let address = |text: &str| u64::from_str_radix(text, 16).context("an address");
    let (start, end) =
        line.split_whitespace().next().and_then(|range| range.split_once('-')).context("a range")?;
    let range = address(start)?..address(end)?;
    ensure!(range.end > range.start && range.end - range.start <= 1 << 20, "a vDSO of {range:x?}");
    Ok(range)
}

/// The extent of a function in a 64-bit little-endian ELF image (*System V ABI, AMD64 supplement*): looked up in the
/// section of dynamic symbols.
fn symbol(image: &[u8], wanted: &str) -> Option<Range<usize>> {
    const DYNAMIC_SYMBOLS: u32 = 11;
    let sections =
        Table { image, at: word(image, 0x28)?, size: half(image, 0x3a)?, count: half(image, 0x3c)? };
    let symbols = sections.entries().find(|section| int(section, 4) == Some(DYNAMIC_SYMBOLS))?;
    let names = word(sections.entries().nth(int(symbols, 0x28)? as usize)?, 0x18)?;
    let (at, bytes, size) = (word(symbols, 0x18)?, word(symbols, 0x20)?, word(symbols, 0x38)?);
    let table = Table { image, at, size, count: bytes.checked_div(size)? };
    let named = |symbol: &&[u8]| {
        let name = int(symbol, 0).and_then(|name| image.get(names + name as usize..));
        name.and_then(|name| name.split(|byte| *byte == 0).next()) == Some(wanted.as_bytes())
    };
    let found = table.entries().find(named)?;
    let (start, length) = (word(found, 8)?, word(found, 16)?);
    (start + length <= image.len()).then_some(start..start + length)
}

struct Table<'a> {
    image: &'a [u8],
    at: usize,
    size: usize,
    count: usize,
}

impl<'a> Table<'a> {
    fn entries(&self) -> impl Iterator<Item = &'a [u8]> {
        let (image, at, size) = (self.image, self.at, self.size);
        (0..self.count).map_while(move |n| image.get(at.checked_add(n * size)?..)?.get(..size))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
    // No offset in a vDSO is larger, and sums of such do not overflow.
    usize::try_from(word).ok().filter(|word| *word <= 1 << 40)
}

fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_found() {
        let vdso = Vdso::own().unwrap();
        for function in &vdso.functions {
            assert!(function.start > 0x200 && function.len() > 20 && function.end <= vdso.image.len());
        }
        assert_eq!(symbol(&vdso.image, "__vdso_nothing"), None);
        assert_eq!(symbol(b"\x7fELF", NAMES[0]), None);
    }
}
