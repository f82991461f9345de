//! C types of the NDK interface.
