package wsman

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// outputBuffer is how much output may wait for the client before a process
// that writes more has to wait too, as at a full pipe.
const outputBuffer = 1 << 20

// command is a process with its streams.
type command struct {
	id     string
	cancel context.CancelFunc
	stdin  *input

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when anything below changes
	out     []chunk
	size    int // bytes in out
	done    bool
	code    int
	killed  *fault // why the process may no longer be spoken to
}

type chunk struct {
	stream string
	data   []byte
}

func newCommand() *command {
	return &command{id: newID(), stdin: newInput(), changed: make(chan struct{})}
}

// update changes c under its lock and wakes everybody who waits.
func (c *command) update(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *command) exit(code int) {
	c.update(func() { c.done, c.code = true, code })
	c.stdin.end(true)
}

func (c *command) kill(why *fault) {
	c.update(func() { c.killed = why })
	c.cancel()
	c.stdin.end(true)
}

func (c *command) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done || c.killed != nil
}

// output is stdout or stderr of a command.
type output struct {
	c      *command
	stream string
}

func (o output) Write(p []byte) (int, error) {
	written := 0
	for {
		o.c.mu.Lock()
		if o.c.killed != nil {
			o.c.mu.Unlock()
			return written, io.ErrClosedPipe
		}
		room, changed := outputBuffer-o.c.size, o.c.changed
		o.c.mu.Unlock()
		if n := min(room, len(p)); n > 0 {
			o.c.update(func() {
				o.c.out = append(o.c.out, chunk{o.stream, bytes.Clone(p[:n])})
				o.c.size += n
			})
			written, p = written+n, p[n:]
		}
		if len(p) == 0 {
			return written, nil
		}
		if room <= 0 {
			<-changed // ended by Receive, by the end of the command, or of its shell
		}
	}
}

// input is stdin of a command.
type input struct {
	mu     sync.Mutex
	more   *sync.Cond
	buf    bytes.Buffer
	eof    bool // nothing more is written
	closed bool // nobody reads any more
}

func newInput() *input {
	in := &input{}
	in.more = sync.NewCond(&in.mu)
	return in
}

func (in *input) Read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.buf.Len() == 0 && !in.eof && !in.closed && len(p) > 0 {
		in.more.Wait()
	}
	if in.closed {
		return 0, io.EOF
	}
	return in.buf.Read(p)
}

func (in *input) write(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.eof || in.closed {
		return io.ErrClosedPipe
	}
	in.buf.Write(p)
	in.more.Broadcast()
	return nil
}

// end says that no more comes or, when closed, that nobody reads any more.
func (in *input) end(closed bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.eof, in.closed = true, in.closed || closed
	in.more.Broadcast()
}

// commandOf returns the command of that identifier in a shell.
func (s *Server) commandOf(sh *shell, id string) (*command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shells[sh.id] != sh {
		return nil, shellNotFound(sh.id)
	}
	if c := sh.commands[strings.ToUpper(id)]; c != nil {
		return c, nil
	}
	return nil, newFault(codeInvalidParameter).because("The Windows Remote Shell received a request to perform an operation on a command identifier that does not exist. ")
}

func (s *Server) send(r *request, sh *shell) ([]byte, error) {
	body, f := r.expect("Send", map[xml.Name]int{rsp("Stream"): 0})
	if f == nil {
		f = r.onlyOptions()
	}
	if f == nil && len(body.kids) == 0 {
		f = newFault(codeSchema).because("no Stream in Send")
	}
	if f != nil {
		return nil, f
	}
	for _, st := range body.kids {
		if err := st.check(nil, xml.Name{Local: "Name"}, xml.Name{Local: "CommandId"}, xml.Name{Local: "End"}, xml.Name{Local: "Unit"}, xml.Name{Local: "EndUnit"}); err != nil {
			return nil, newFault(codeSchema).because("%v", err)
		}
		if st.attr("Name") != "stdin" {
			return nil, newFault(codeInputStream)
		}
		c, err := s.commandOf(sh, st.attr("CommandId"))
		if err != nil {
			return nil, err
		}
		data, err := base64.StdEncoding.DecodeString(st.value())
		if err != nil {
			return nil, newFault(codeSchema).because("the stream is not base64: %v", err)
		}
		if len(data) > 0 {
			if err := c.stdin.write(data); err != nil {
				return nil, newFault(codeBrokenPipe)
			}
		}
		switch strings.ToLower(st.attr("End")) {
		case "true", "1":
			c.stdin.end(false)
		case "false", "0", "":
		default:
			return nil, newFault(codeSchema).because("End is %s", st.attr("End"))
		}
	}
	return reply(r, nsShell+"/SendResponse", `<rsp:SendResponse/>`), nil
}

// receive waits until there is output or the command has ended, or the time is
// up (MS-WSMV 3.1.4.14).
func (s *Server) receive(ctx context.Context, r *request, sh *shell) ([]byte, error) {
	body, f := r.expect("Receive", map[xml.Name]int{rsp("DesiredStream"): 1})
	if f == nil {
		f = r.onlyOptions("WSMAN_CMDSHELL_OPTION_KEEPALIVE")
	}
	if f != nil {
		return nil, f
	}
	want := body.child(nsShell, "DesiredStream")
	if err := want.check(nil, xml.Name{Local: "CommandId"}); err != nil {
		return nil, newFault(codeSchema).because("%v", err)
	}
	if f := outputStreams(want.value()); f != nil || want.value() == "" {
		return nil, either(f, newFault(codeOutputStream))
	}
	c, err := s.commandOf(sh, want.attr("CommandId"))
	if err != nil {
		return nil, err
	}
	limit := s.limits.MaxEnvelopeSizekb * 1024
	if r.maxEnvelope > 0 {
		limit = min(limit, r.maxEnvelope)
	}
	timeout := s.limits.MaxTimeoutms
	if r.timeout > 0 {
		timeout = min(timeout, r.timeout)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		answer, changed, f := c.take(limit - envelopeOverhead)
		if f != nil {
			return nil, f
		}
		if answer != "" {
			return reply(r, nsShell+"/ReceiveResponse", `<rsp:ReceiveResponse>`+answer+`</rsp:ReceiveResponse>`), nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, newFault(codeTimedOut)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// envelopeOverhead is more than what surrounds the streams of a reply, and
// streamOverhead more than the element around the data of one.
const (
	envelopeOverhead = 2048
	streamOverhead   = 128
)

// take removes what is to be sent next, at most limit bytes of XML. Nothing
// means that the command runs and has nothing to say.
func (c *command) take(limit int) (answer string, changed <-chan struct{}, f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed != nil {
		return "", nil, c.killed
	}
	if len(c.out) == 0 && !c.done {
		return "", c.changed, nil
	}
	var b strings.Builder
	sent := 0
	for len(c.out) > 0 {
		room := (limit - b.Len() - streamOverhead) / 4 * 3
		if room <= 0 {
			break
		}
		next := c.out[0]
		n := min(len(next.data), room)
		fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, next.stream, c.id, base64.StdEncoding.EncodeToString(next.data[:n]))
		if sent += n; n < len(next.data) {
			c.out[0].data = next.data[n:]
		} else {
			c.out = c.out[1:]
		}
	}
	c.size -= sent
	if sent > 0 {
		close(c.changed) // there is room again
		c.changed = make(chan struct{})
	}
	if c.done && len(c.out) == 0 {
		for _, name := range []string{"stdout", "stderr"} {
			fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s" End="true"></rsp:Stream>`, name, c.id)
		}
		fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/Done"><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState>`, c.id, nsShell, c.code)
	} else {
		fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/Running"></rsp:CommandState>`, c.id, nsShell)
	}
	return b.String(), nil, nil
}

func (s *Server) signal(r *request, sh *shell) ([]byte, error) {
	body, f := r.expect("Signal", map[xml.Name]int{rsp("Code"): 1}, xml.Name{Local: "CommandId"})
	if f == nil {
		f = r.onlyOptions()
	}
	if f != nil {
		return nil, f
	}
	c, err := s.commandOf(sh, body.attr("CommandId"))
	if err != nil {
		return nil, err
	}
	switch code := body.child(nsShell, "Code").value(); code {
	case nsShell + "/signal/terminate":
		s.mu.Lock()
		delete(sh.commands, c.id)
		s.mu.Unlock()
		c.kill(newFault(codeAborted))
	case nsShell + "/signal/ctrl_c", nsShell + "/signal/ctrl_break":
		c.cancel() // what it still has to say is said
	default:
		return nil, newFault(codeInvalidParameter).because("signal %s", code)
	}
	return reply(r, nsShell+"/SignalResponse", `<rsp:SignalResponse/>`), nil
}
