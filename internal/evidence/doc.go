// Package evidence states, in a form that other programs verify, that an image was
// proven: an in-toto statement about the file and about the disk in it, plain or
// signed with a key of the user. Statement is a pure function of what was proven; the
// same image gives the same bytes.
//
// Sources: in-toto Attestation Framework v1.1 (Statement v1, ResourceDescriptor,
// test-result v0.1), DSSE v1.0.0 (protocol.md, envelope.md), Sigstore bundle v0.3
// (protobuf-specs, sigstore_bundle.proto).
package evidence
