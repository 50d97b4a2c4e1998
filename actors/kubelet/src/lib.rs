//! kubelet: to be filled.
