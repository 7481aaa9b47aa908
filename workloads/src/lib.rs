//! squall-workloads
