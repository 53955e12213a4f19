package foreigntest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/rpc"
)

// Screen is what a user of Packer sees, through Packer's own Ui.
type Screen struct {
	packersdk.BasicUi
	mu   sync.Mutex
	text bytes.Buffer
}

// NewScreen returns an empty Screen.
func NewScreen() *Screen {
	s := &Screen{}
	s.Writer, s.ErrorWriter, s.PB = s, s, &packersdk.NoopProgressTracker{}
	return s
}

// Write implements io.Writer.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String is everything that was shown.
func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Plugin serves a component as Packer's plugins are, over a connection, and
// returns the side of Packer.
func Plugin(t testing.TB, register func(*rpc.PluginServer) error) *rpc.Client {
	t.Helper()
	near, far := net.Pipe()
	server, err := rpc.NewServer(far)
	if err == nil {
		err = register(server)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve()
	}()
	client, err := rpc.NewClient(near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range []io.Closer{client, server} {
			if err := c.Close(); err != nil {
				t.Log(err) // the other side may be gone first
			}
		}
		<-done
	})
	return client
}
