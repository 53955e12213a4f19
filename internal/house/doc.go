// Package house holds only tests: that every package stands in a room of the design and
// imports only what is below it, that no file is too long, and that every package says what
// it is for. The rooms are in rooms_test.go; docs/development.md explains them.
package house
