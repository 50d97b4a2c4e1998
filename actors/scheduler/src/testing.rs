//! Short ways to make pods and nodes.
