//! squall-results
