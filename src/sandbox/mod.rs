//! An embedded Sigstore on loopback, for trials and tests, never for production.
