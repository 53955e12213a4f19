// Package faults is the table of what every fault of guest and network ends as:
// for a login, a command, an upload, a download and a watch. It has tests alone.
package faults
