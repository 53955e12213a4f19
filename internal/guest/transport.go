package guest

import (
	"context"
	"errors"
	"io"
)

// Transport carries requests to one guest, any number at a time. No request
// outlives its context for the caller, whatever becomes of it in the guest: it
// then ends with the context's cause, which is ErrNoAnswer for a guest that did
// not answer in time.
type Transport interface {
	// Run runs one cmd.exe line. What came of it is said by its output: some
	// programs that fail exit with 0.
	Run(context.Context, Request) error
	// Upload writes a small file.
	Upload(ctx context.Context, path string, content []byte) error
	// Steady says whether a command that runs for a while may be sent.
	Steady() bool
	// Probed tells whether the guest's service answered a question that did not
	// go through the transport.
	Probed(answers bool)
	// Settle is called before a cleanup: it waits a little for what was cancelled
	// and may still change the guest, and ends a rest.
	Settle(context.Context)
}

// File is a small file for the guest.
type File struct {
	Path    string
	Content []byte
	// Private: its folder is made anew, and only SYSTEM and administrators can
	// read what is in it.
	Private bool
}

// Placer is a Transport that writes several small files at once, each checked by
// its hash, and runs PowerShell without a file in the guest.
type Placer interface {
	Transport
	Place(ctx context.Context, files ...File) error
}

// Folders is a Transport whose Upload may need the folder of a file to be there.
type Folders interface {
	Transport
	NeedsFolders() bool
}

// Request is a line to be run.
type Request struct {
	Line string
	// Stdout and Stderr take what the line says until Run returns. A write that
	// fails ends the request, with that error.
	Stdout, Stderr io.Writer
	// Insist: it is sent in spite of a rest, and of a connection that was given up.
	Insist bool
	// Exit gets the exit code of the line, once Run has returned without an error;
	// nil: nobody asks for it.
	Exit *int
	// Changed is closed when the line, which goes on, changes nothing more in the
	// guest; nil: it may until its end.
	Changed <-chan struct{}
}

// notSent is a reason why a request was not made: nothing can have run.
type notSent string

func (e notSent) Error() string { return string(e) }

// Is makes every reason an ErrNotSent.
func (e notSent) Is(target error) bool { return target == ErrNotSent }

// What a Transport, or the session above it, says of a request.
var (
	// ErrNoAnswer: the guest did not answer in time.
	ErrNoAnswer = errors.New("no answer in time")
	// ErrTooMuch: the guest does not stop answering.
	ErrTooMuch = errors.New("the answer does not end")
	// ErrNotSent: nothing was run.
	ErrNotSent = errors.New("nothing was run")
	// ErrResting: nothing was run, because a request was left behind a short while
	// ago.
	ErrResting error = notSent("the connection is paused, because a request has not been answered")
	// ErrGivenUp: nothing was run, because too many requests were left behind and
	// have not come back since.
	ErrGivenUp error = notSent("the connection is no longer used: too many requests have not been answered")
	// ErrHeld: nothing was run, because logins were refused a short while ago, and
	// Windows locks an account that is refused too often.
	ErrHeld error = notSent("the connection is paused, because the guest refuses the login and too many tries would lock the account")
)

// Unanswered says that the guest did not answer, or is not asked for a while.
// What may be done twice can be asked again later.
func Unanswered(err error) bool {
	return errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrResting) || errors.Is(err, ErrGivenUp) || errors.Is(err, ErrHeld)
}
