//! Forgetting and pruning: what goes, what stays, and that nothing which a snapshot needs is ever lost, whoever runs beside it.

mod copies;
mod damage;
mod denied;
mod full;
mod gate;
mod in_force;
mod model;
mod one_by_one;
mod repacked_copy;
mod rests;
mod scene;
mod shares;
mod simulation;
mod went_back;
