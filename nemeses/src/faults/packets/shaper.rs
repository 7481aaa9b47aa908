//! Which packet arrives when.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::profile::{Gilbert, Profile, Spread};

/// The fate of the packets of one flow: a pure function of its profile, its seed and the packets, after `tc netem`
/// (Hemminger, *Network Emulation with NetEm*, 2005).
#[derive(Debug)]
pub(super) struct Shaper {
    profile: Profile,
    rng: ChaCha8Rng,
    /// The last draw for a loss, on which the next depends.
    last_loss: f64,
    /// Whether the line is bad, in the model of two states.
    is_bad: bool,
    /// When the line is free again, in nanoseconds.
    free_ns: u64,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is lost.
    Lost,
    /// It arrives.
    Arrives {
        /// When.
        at_ns: u64,
        /// The bit to flip, counted from where the payload of the IP packet begins.
        flipped: Option<u32>,
        /// Whether a copy of it arrives as well.
        twice: bool,
    },
}

impl Shaper {
    pub(super) fn new(profile: Profile, seed: u64) -> Shaper {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Shaper { profile, rng, last_loss: 1.0, is_bad: false, free_ns: 0 }
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// When a packet arrives that is held at `now_ns`, until `at_ns` by what was in force when it came: no later than if it
    /// came now and strayed as far as the jitter says. Packets keep their order if they are asked for in it.
    pub(super) fn sooner(&mut self, at_ns: u64, now_ns: u64, bytes: usize) -> u64 {
        let delay_ns = ((self.profile.delay_ms + self.profile.jitter_ms) * 1e6) as u64;
        if at_ns <= now_ns + delay_ns {
            return at_ns;
        }
        at_ns.min(self.passes_line(now_ns, bytes) + delay_ns)
    }

    /// The fate of a packet that came at `now_ns` and has `bytes`, of which `payload` follow the IP header.
    pub(super) fn fate(&mut self, now_ns: u64, bytes: usize, payload: usize) -> Fate {
        if self.loses() {
            return Fate::Lost;
        }
        let flips = payload > 0 && self.chance(self.profile.corrupt);
        let flipped = flips.then(|| self.rng.random_range(0..payload as u32 * 8));
        let twice = self.chance(self.profile.duplicate);
        let on_the_line = self.passes_line(now_ns, bytes);
        let overtakes = self.chance(self.profile.reorder);
        let at_ns = if overtakes { on_the_line } else { on_the_line + self.delay_ns() };
        Fate::Arrives { at_ns, flipped, twice }
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random::<f64>() < share
    }

    /// Correlation makes bursts and leaves the share of losses as it was.
    fn loses(&mut self) -> bool {
        let Profile { loss, loss_correlation, gilbert, .. } = self.profile;
        if let Some(Gilbert { enter, leave, bad, good }) = gilbert {
            let lost = self.chance(if self.is_bad { bad } else { good });
            self.is_bad ^= self.chance(if self.is_bad { leave } else { enter });
            return lost;
        }
        if loss == 0.0 {
            return false;
        }
        // With probability `loss_correlation` the packet shares the fate of the one before.
        if !self.chance(loss_correlation) {
            self.last_loss = self.rng.random();
        }
        self.last_loss < loss
    }

    /// When the packet has left a line of the given rate.
    fn passes_line(&mut self, now_ns: u64, bytes: usize) -> u64 {
        if self.profile.rate_kbit == 0.0 {
            return now_ns;
        }
        let takes_ns = bytes as f64 * 8.0 * 1e6 / self.profile.rate_kbit;
        self.free_ns = self.free_ns.max(now_ns) + takes_ns as u64;
        self.free_ns
    }

    fn delay_ns(&mut self) -> u64 {
        let Profile { delay_ms, jitter_ms, spread, .. } = self.profile;
        let strays = match spread {
            _ if jitter_ms == 0.0 => 0.0,
            Spread::Uniform => self.rng.random_range(-1.0..=1.0),
            Spread::Normal => self.normal(),
            Spread::Pareto => pareto(1.0 - self.rng.random::<f64>()),
            Spread::ParetoNormal => {
                // Both at the same quantile, as in the table `paretonormal.dist`.
                let normal = self.normal();
                0.25 * normal + 0.75 * pareto(share_above(normal))
            }
        };
        ((delay_ms + jitter_ms * strays).max(0.0) * 1e6) as u64
    }

    /// A standard normal draw (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let (u, v): (f64, f64) = (1.0 - self.rng.random::<f64>(), self.rng.random());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// Where a share of a Pareto distribution of shape 3 is above, moved to the mean 0 and cut off at 4, as in the table
/// `pareto.dist` of iproute2.
fn pareto(above: f64) -> f64 {
    ((above.powf(-1.0 / 3.0) - 1.5) * 4.0 / 3.0).min(4.0)
}

/// The share of a standard normal distribution that is above this, to 1e-7 (Abramowitz and Stegun, 7.1.26).
fn share_above(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592]
        .into_iter()
        .fold(0.0, |sum, a| (sum + a) * t);
    let tail = 0.5 * sum * (-x * x).exp();
    if z > 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: usize = 20_000;

    fn fates(text: &str) -> Vec<Fate> {
        let mut shaper = Shaper::new(text.parse().unwrap(), 7);
        (0..PACKETS).map(|n| shaper.fate(n as u64 * 1_000_000, 1000, 980)).collect()
    }

    fn delays_ms(text: &str) -> Vec<f64> {
        let delay = |(n, fate): (usize, Fate)| match fate {
            Fate::Arrives { at_ns, .. } => Some((at_ns - n as u64 * 1_000_000) as f64 / 1e6),
            Fate::Lost => None,
        };
        fates(text).into_iter().enumerate().filter_map(delay).collect()
    }

    fn near(got: f64, asked: f64, tolerance: f64) {
        assert!((got - asked).abs() <= tolerance, "{got} instead of {asked}");
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn shares_are_what_was_asked() {
        let share = |text: &str, has: fn(&Fate) -> bool| {
            fates(text).iter().filter(|fate| has(fate)).count() as f64 / PACKETS as f64
        };
        near(share("loss=30%", |fate| *fate == Fate::Lost), 0.3, 0.01);
        near(share("loss=30%+burst=50%", |fate| *fate == Fate::Lost), 0.3, 0.02);
        near(share("duplicate=10%", |fate| matches!(fate, Fate::Arrives { twice: true, .. })), 0.1, 0.01);
        near(share("corrupt=5%", |fate| matches!(fate, Fate::Arrives { flipped: Some(_), .. })), 0.05, 0.005);
    }

    #[test]
    fn losses_come_in_bursts_where_they_depend_on_each_other() {
        let bursts =
            |text: &str| fates(text).windows(2).filter(|pair| pair == &[Fate::Lost; 2]).count() as f64;
        near(bursts("loss=10%") / PACKETS as f64, 0.01, 0.003);
        near(bursts("loss=10%+burst=50%") / PACKETS as f64, 0.055, 0.01);
    }

    #[test]
    fn delays_are_what_was_asked() {
        let delays = delays_ms("delay=100ms+jitter=20ms");
        near(mean(&delays), 100.0, 0.5);
        assert!(delays.iter().all(|delay| (80.0..=120.0).contains(delay)));
        let delays = delays_ms("delay=100ms+normal-jitter=20ms");
        let mean_ms = mean(&delays);
        near(mean_ms, 100.0, 0.5);
        let squares: Vec<f64> = delays.iter().map(|delay| (delay - mean_ms).powi(2)).collect();
        near(mean(&squares).sqrt(), 20.0, 0.5);
        let overtaking = delays_ms("delay=50ms+reorder=25%").iter().filter(|&&delay| delay == 0.0).count();
        near(overtaking as f64 / PACKETS as f64, 0.25, 0.01);
    }

    #[test]
    fn spreads_have_the_quantiles_of_netems_tables() {
        let quantiles = |text: &str| {
            let mut delays = delays_ms(text);
            delays.sort_by(f64::total_cmp);
            [0.1, 0.5, 0.9].map(|q| (delays[(delays.len() as f64 * q) as usize] - 100.0) / 20.0)
        };
        for (text, expected) in [
            ("delay=100ms+pareto-jitter=20ms", [-0.619, -0.320, 0.872]),
            ("delay=100ms+paretonormal-jitter=20ms", [-0.785, -0.240, 0.974]),
        ] {
            quantiles(text).into_iter().zip(expected).for_each(|(got, asked)| near(got, asked, 0.05));
        }
    }

    #[test]
    fn a_line_of_two_states_loses_what_it_should_and_in_bursts() {
        let model: Profile = "gilbert=2%/20%/90%/1%".parse().unwrap();
        let fates = fates(&model.to_string());
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count() as f64;
        near(lost / PACKETS as f64, model.gilbert.unwrap().loss(), 0.02);
        let pairs = fates.windows(2).filter(|pair| pair == &[Fate::Lost; 2]).count() as f64;
        near(pairs / lost, 0.65, 0.05);
    }

    #[test]
    fn a_line_passes_its_rate() {
        let last = *fates("rate=1000kbit").last().unwrap();
        let Fate::Arrives { at_ns, .. } = last else { panic!("{last:?}") };
        near(PACKETS as f64 * 8_000.0 / (at_ns as f64 / 1e9), 1e6, 1e3);
    }

    #[test]
    fn what_is_held_goes_on_no_later_than_if_it_came_now() {
        let sooner = |profile: &str, at_ms: &[u64]| {
            let mut shaper = Shaper::new(profile.parse().unwrap(), 7);
            let at = |ms: &u64| shaper.sooner(ms * 1_000_000, 1_000_000_000, 1000) / 1_000_000;
            at_ms.iter().map(at).collect::<Vec<_>>()
        };
        assert_eq!(sooner("delay=40ms", &[1000, 1039, 1041, 9000, 21_000]), [1000, 1039, 1040, 1040, 1040]);
        assert_eq!(sooner("delay=40ms+jitter=5ms", &[1042, 9000]), [1042, 1045]);
        assert_eq!(sooner("loss=5%", &[1001, 9000]), [1000, 1000]);
        // 8 ms for each on the line, none of them later than it was to be.
        assert_eq!(sooner("rate=1000kbit", &[1005, 9000, 9000]), [1005, 1016, 1024]);
    }
}
