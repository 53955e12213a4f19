package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// exchangeLimit bounds one QMP command and its answer.
	exchangeLimit = 10 * time.Second
	// messageLimit bounds one line of QMP; the longest real one (the greeting
	// of a QEMU with many capabilities) is below a kilobyte.
	messageLimit = 1 << 20
)

// errMonitorClosed: QEMU closed the monitor, usually because it ended.
var errMonitorClosed = errors.New("the QMP monitor is closed")

// commandError is QEMU's refusal of a command.
type commandError struct {
	Class       string `json:"class"`
	Description string `json:"desc"`
}

func (e *commandError) Error() string { return e.Description + " (" + e.Class + ")" }

// message is any line a QMP server sends: greeting, answer or event
// (QEMU Machine Protocol Specification, sections 2.2 to 2.5).
type message struct {
	Greeting *struct {
		Version struct {
			QEMU version `json:"qemu"`
		} `json:"version"`
	} `json:"QMP"`
	ID     uint64          `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *commandError   `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

type version struct{ Major, Minor, Micro int }

func (v version) atLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// event is something QEMU reports of its own.
type event struct {
	Name string
	eventData
}

// eventData are the fields of the events that matter here: SHUTDOWN and RESET
// (guest, reason), BLOCK_IO_ERROR (action, operation, nospace, reason),
// GUEST_PANICKED (action).
type eventData struct {
	Guest     bool   `json:"guest"`
	Reason    string `json:"reason"`
	Action    string `json:"action"`
	Operation string `json:"operation"`
	NoSpace   bool   `json:"nospace"`
}

func parseMessage(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("reading QMP message: %w", err)
	}
	if m.Greeting == nil && m.Return == nil && m.Error == nil && m.Event == "" {
		return message{}, errors.New("reading QMP message: neither greeting, answer nor event")
	}
	return m, nil
}

// parseEvent never fails: an event with foreign data is still an event.
func parseEvent(m message) event {
	e := event{Name: m.Event}
	_ = json.Unmarshal(m.Data, &e.eventData)
	return e
}

// monitor is a QMP client. Events go to one function, in order, from one
// goroutine that ends when the connection does.
type monitor struct {
	conn    io.ReadWriteCloser
	version version
	closed  chan struct{}

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan message
}

// openMonitor awaits the greeting and negotiates capabilities.
func openMonitor(ctx context.Context, conn io.ReadWriteCloser, onEvent func(event)) (*monitor, error) {
	m := &monitor{conn: conn, closed: make(chan struct{}), pending: map[uint64]chan message{}}
	greeting := make(chan version, 1)
	go m.read(greeting, onEvent)
	select {
	case m.version = <-greeting:
	case <-m.closed:
		return nil, errMonitorClosed
	case <-ctx.Done():
		conn.Close()
		return nil, fmt.Errorf("waiting for QEMU's greeting: %w", ctx.Err())
	}
	if err := m.execute(ctx, "qmp_capabilities", nil); err != nil {
		conn.Close()
		return nil, err
	}
	return m, nil
}

func (m *monitor) read(greeting chan<- version, onEvent func(event)) {
	defer close(m.closed)
	defer m.conn.Close()
	lines := bufio.NewScanner(m.conn)
	lines.Buffer(make([]byte, 0, 4096), messageLimit)
	for lines.Scan() {
		msg, err := parseMessage(lines.Bytes())
		switch {
		case err != nil:
			return // out of step: nothing that follows can be trusted
		case msg.Greeting != nil:
			select {
			case greeting <- msg.Greeting.Version.QEMU:
			default:
			}
		case msg.Event != "":
			onEvent(parseEvent(msg))
		default:
			m.mu.Lock()
			if answer := m.pending[msg.ID]; answer != nil {
				delete(m.pending, msg.ID)
				answer <- msg
			}
			m.mu.Unlock()
		}
	}
}

// execute sends one command and waits for its answer, at most exchangeLimit.
func (m *monitor) execute(ctx context.Context, command string, arguments any) error {
	return m.ask(ctx, command, arguments, nil)
}

// ask is execute with an answer, unless into is nil.
func (m *monitor) ask(ctx context.Context, command string, arguments, into any) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeLimit)
	defer cancel()
	answer := make(chan message, 1)
	m.mu.Lock()
	m.next++
	id := m.next
	m.pending[id] = answer
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.pending, id)
		m.mu.Unlock()
	}()

	request := map[string]any{"execute": command, "id": id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding QMP command %s: %w", command, err)
	}
	sent := make(chan error, 1)
	go func() { // a stopped QEMU does not read; the deadline must hold for writing too
		_, err := m.conn.Write(append(line, '\n'))
		sent <- err
	}()
	for {
		select {
		case err := <-sent:
			if err != nil {
				return fmt.Errorf("sending QMP command %s: %w", command, errors.Join(errMonitorClosed, err))
			}
			sent = nil
		case reply := <-answer:
			if reply.Error != nil {
				return fmt.Errorf("QMP command %s: %w", command, reply.Error)
			}
			if into == nil {
				return nil
			}
			if err := json.Unmarshal(reply.Return, into); err != nil {
				return fmt.Errorf("QMP command %s: reading the answer: %w", command, err)
			}
			return nil
		case <-m.closed:
			return fmt.Errorf("QMP command %s: %w", command, errMonitorClosed)
		case <-ctx.Done():
			return fmt.Errorf("QMP command %s: no answer: %w", command, ctx.Err())
		}
	}
}

// close ends the connection and with it the reader and any blocked write.
func (m *monitor) close() { _ = m.conn.Close() }
