//! squall-targets
