//! squall-nemeses
