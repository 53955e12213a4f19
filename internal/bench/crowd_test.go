package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// crowd is set in the process that is the client of all guests: their ports.
const crowd = "SYSPREP_BENCH_CROWD"

// mostMemory is what one process may need for a hundred guests, in MiB.
const mostMemory = 512

const (
	guests    = 100
	carried   = 2_000_000 // bytes to and from each
	watchLine = "ping -n 6 127.0.0.1"
	watched   = 5 * time.Second // that it takes
)

// BenchmarkHundredGuests has one process log in to 100 guests by NTLM, sealed, and
// watch a command on each for some seconds while it sends each a file of 2 MB and
// fetches it back. The guests are in this process, the client is in one of its own,
// and its memory at most is what counts: 512 MiB.
func BenchmarkHundredGuests(b *testing.B) {
	var ports []int
	var roots []string
	for range guests {
		root := b.TempDir()
		g, err := winsim.Start(b.Context(), winsim.Options{Root: root, User: "packer", Password: "secret"}, winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true})
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := g.Close(); err != nil {
				b.Error(err)
			}
			if shells, operations := g.Server.Counts("packer"); shells+operations != 0 {
				b.Errorf("%d shells and %d operations are left", shells, operations)
			}
			for _, u := range g.Guest.Unknown() {
				b.Errorf("the guest did not know: %s", u)
			}
		}()
		ports, roots = append(ports, g.Port), append(roots, root)
	}
	text, err := json.Marshal(ports)
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	content := payload()
	for b.Loop() {
		begin := time.Now()
		client := exec.CommandContext(b.Context(), self)
		client.Env = append(os.Environ(), crowd+"="+string(text))
		out, err := client.CombinedOutput()
		var peak float64
		if err == nil {
			_, err = fmt.Sscan(string(out), &peak)
		}
		if err != nil {
			b.Fatalf("%v\n%s", err, tail(out))
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s")
		switch {
		case peak == 0:
			skip(b, "this host does not tell how much memory a process had")
		case peak > mostMemory:
			b.Errorf("the client needed %.0f MiB, and %d are allowed", peak, mostMemory)
		}
		b.ReportMetric(peak, "MiB")
		b.ReportMetric(0, "ns/op")
		for i, root := range roots {
			got, err := os.ReadFile(filepath.Join(root, "C", "there.bin"))
			if err != nil || !bytes.Equal(got, content) {
				b.Errorf("guest %d has %d bytes, %v", i, len(got), err)
			}
		}
	}
}

// payload is what every guest is sent.
func payload() []byte {
	b := make([]byte, carried)
	rand.New(rand.NewSource(1)).Read(b) //nolint:gosec // test data
	return b
}

// visitAll is the client: all guests at once.
func visitAll(text string) error {
	var ports []int
	if err := json.Unmarshal([]byte(text), &ports); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	content, errs := payload(), make([]error, len(ports))
	var all, in sync.WaitGroup
	in.Add(len(ports))
	for i, port := range ports {
		all.Go(func() {
			if errs[i] = visit(ctx, port, content, &in); errs[i] != nil {
				errs[i] = fmt.Errorf("guest %d: %w", i, errs[i])
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// ownPeak is the most that this process had in memory, in MiB; 0: the host does not
// tell. What getrusage says counts the process that started this one (proc(5)).
func ownPeak() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(rest, &kib) // 0 when it is not there
	return kib / 1024
}

// visit watches a guest, and carries a file there and back meanwhile, when all
// others are logged in.
func visit(ctx context.Context, port int, content []byte, in *sync.WaitGroup) error {
	client, err := winrm.New(winrm.Config{Host: "127.0.0.1", Port: port, User: "packer", Password: winrm.NewSecret("secret"), Auth: winrm.AuthNTLM})
	if err != nil {
		return err
	}
	defer client.Close()
	session := winrm.NewSession(client, winrm.ShellOptions{})
	_, err = session.Run(ctx, winrm.Command{Line: "ver"})
	in.Done()
	if err != nil {
		return err
	}
	in.Wait()
	var work sync.WaitGroup
	var carrying, watching error
	work.Go(func() { carrying = thereAndBack(ctx, session, content) })
	work.Go(func() { watching = watch(ctx, session) })
	work.Wait()
	return errors.Join(carrying, watching, session.Close(ctx))
}

func thereAndBack(ctx context.Context, session *winrm.Session, content []byte) error {
	var notes []error
	transfer := files.New(session, files.Options{Note: func(why string) { notes = append(notes, errors.New(why)) }})
	err := transfer.Upload(ctx, `C:\there.bin`, bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	back := bytes.NewReader(content)
	n, err := transfer.Download(ctx, `C:\there.bin`, same{back}, files.Bounds{}, nil)
	if err == nil && n != int64(len(content)) {
		err = fmt.Errorf("%d bytes came back", n)
	}
	return errors.Join(append(notes, err, transfer.Close(ctx))...)
}

// same compares what is written with what is to come.
type same struct{ want *bytes.Reader }

func (s same) Write(p []byte) (int, error) {
	want := make([]byte, len(p))
	if n, _ := s.want.Read(want); n != len(p) || !bytes.Equal(p, want) {
		return 0, errors.New("other bytes came back than were sent")
	}
	return len(p), nil
}

func watch(ctx context.Context, session *winrm.Session) error {
	var said bytes.Buffer
	begin := time.Now()
	code, err := session.Run(ctx, winrm.Command{Line: watchLine, Stdout: &said, Poll: time.Second})
	if err != nil {
		return err
	}
	if took := time.Since(begin); code != 0 || strings.Count(said.String(), "Reply from") != 6 || took < watched {
		return fmt.Errorf("the watched command ended with %d after %s: %q", code, took, said.String())
	}
	return nil
}
