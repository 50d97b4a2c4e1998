//! End-to-end tests; what several of them need is here.
