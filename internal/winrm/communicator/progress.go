package communicator

import (
	"io"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// Tracker is the part of Packer's Ui that shows a bar while a stream is read.
type Tracker interface {
	TrackProgress(name string, at, total int64, body io.ReadCloser) io.ReadCloser
}

// worthABar is the size from which a file gets a bar: a script does not.
const worthABar = 1 << 20

// progress shows what the guest has got. Who calls Upload reads its file at once,
// because the hash goes before the bytes: a bar of that would be full at the
// beginning. So another stream, of no content, is read as far as the copy is.
type progress struct {
	ui    Tracker
	name  string
	ended chan struct{} // closed when the copy has ended
	wait  *heartbeat.Wait

	mu    sync.Mutex
	body  io.ReadCloser // nil: there is no bar
	shown int64
}

// progress begins to show how a transfer goes on; doing is "uploading" or
// "downloading".
func (c *Communicator) progress(doing, name string) *progress {
	return &progress{ui: c.options.UI, name: name, ended: make(chan struct{}), wait: c.options.Heart.Begin(heartbeat.Facts{Doing: doing + " " + name})}
}

// tell is called by package files from one goroutine, beside the copy.
func (p *progress) tell() files.Progress {
	return func(done, total int64) {
		p.wait.Percent(done, total)
		if p.ui == nil {
			return
		}
		p.mu.Lock()
		p.show(done, total)
		p.mu.Unlock()
		p.settle()
	}
}

func (p *progress) show(done, total int64) {
	if total < worthABar {
		return
	}
	if p.body == nil {
		p.body = p.ui.TrackProgress(p.name, 0, total, nothing{})
	}
	buffer := make([]byte, 1<<20)
	for p.shown < done {
		n, err := p.body.Read(buffer[:min(int64(len(buffer)), done-p.shown)])
		if err != nil || n == 0 {
			return
		}
		p.shown += int64(n)
	}
}

// close ends the bar, or lets the Ui that is still busy with it do so.
func (p *progress) close() {
	p.wait.End()
	close(p.ended)
	p.settle()
}

func (p *progress) settle() {
	select {
	case <-p.ended:
	default:
		return
	}
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if p.body != nil {
		_ = p.body.Close()
		p.body = nil
	}
}

// nothing is a stream as long as anybody reads.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error               { return nil }
