//! The established gRPC interface: its codes, what it tells, and its bounds.

mod bounds;
mod clients;
mod codes;
mod crowd;
mod given_up;
mod health;
mod images;
mod missing;
mod programs;
mod waiting;
