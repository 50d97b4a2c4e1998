//! The object model of the Kubernetes API, without IO: kinds and their facts, keys, patches, selectors, schemas, tables, RBAC rules.
//!
//! This is the leaf crate: everything else may use it, and it uses nothing of ours. Nothing here reads a clock,
//! a file or a socket.

pub mod at;
pub mod cause;
pub mod event;
pub mod field;
pub mod json;
pub mod key;
pub mod kind;
pub mod kinds;
pub mod meta;
pub mod name;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod scale;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod time;
pub mod user;
pub mod view;

pub use at::{At, Moment};
pub use cause::{Cause, RequestId, Trigger};
pub use event::{Change, Epoch, Event, Position, Revision};
pub use field::{FieldError, Path};
pub use key::{Key, Resource};
pub use kind::{Kind, Kinds, Subresource};
pub use meta::Meta;
pub use object::{Draft, Object};
pub use quantity::Quantity;
pub use selector::Selector;
pub use status::Status;
pub use user::User;
pub use view::Source;
