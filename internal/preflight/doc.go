// Package preflight judges a guest before sysprep is started in it: the facts that
// preflight.ps1 reports go in, and everything that speaks against a run comes out at
// once, each with its evidence and its remedies. sysprep itself stops at the first
// objection and names one package.
//
// The checks are data (checks_*.go) and pure functions over Facts and Plan. A check has
// three answers: what it asks for is there, it is not, or it cannot be told. What cannot be
// told is never taken for one of the others.
package preflight
