//go:build unix

package parent

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

func TestWorkEndsInOrderByASignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			ctx, release := Bind(t.Context())
			defer release()
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
			// A second one during the clean-up does not kill either: this test
			// would end here.
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestASignalThatIsIgnoredStaysSo(t *testing.T) {
	signal.Ignore(syscall.SIGHUP) // as nohup does
	defer signal.Reset(syscall.SIGHUP)
	if got := endSignals(); !slices.Equal(got, []os.Signal{syscall.SIGTERM}) {
		t.Errorf("caught are %v", got)
	}
}
