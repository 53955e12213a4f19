// Package hostfile reads and writes files of the host that a user named. It
// refuses what is not a regular file, knows one file under two names, replaces
// files whole, and keeps two builds out of one folder. It behaves alike on
// Linux, macOS and Windows, where another program may hold a new file for a
// moment.
package hostfile
