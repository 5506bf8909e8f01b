//! The size of a connection.

use sockeye_core::{Connection, Receiver, Sender};

#[test]
fn a_connection_is_at_most_256_bytes() {
    let size = size_of::<Connection>();
    assert!(size <= 256, "{size} = {} + {}", size_of::<Receiver>(), size_of::<Sender>());
}
