package house

// exceptions are faults that the house still has, and why. One that is not needed any
// more fails the test: delete it.
var exceptions = map[string]string{
	"the table lets internal/cli import internal/preflight, which it does not": "the issue on pre-flight names it, and no command judges facts yet",
}
