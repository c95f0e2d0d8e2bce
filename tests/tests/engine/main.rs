//! The storage engine through the `strongroom` program: whatever happens, stored data comes back or the loss is named.
