//! LimitRanges and ResourceQuotas.

pub(crate) mod quota;
pub(crate) mod range;
