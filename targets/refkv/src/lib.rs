//! squall-refkv
