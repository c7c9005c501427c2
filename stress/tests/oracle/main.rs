//! The oracle judged by forged histories: what each must and must not find is known.

mod causes;
mod events;
mod forge;
mod holds;
mod long;
mod random;
mod reference;
