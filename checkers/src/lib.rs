//! squall-checkers
