//! A request for GPUs, as an image can write it: parsed and looked up, whatever it says.

use discovery::Inventory;
use discovery::selection::{Asked, parse};

/// One input.
pub fn run(text: &str) {
    let Asked::Gpus(request) = parse(text) else {
        return;
    };
    let host = Inventory::default();
    if let Err(unknown) = request.resolve(&host).strict(&host) {
        let _ = (unknown.to_string(), unknown.hint());
    }
}
