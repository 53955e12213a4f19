//go:build !race

package testutil

// Race: the test was built with -race, which makes it five to ten times slower.
const Race = false
