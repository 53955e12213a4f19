package wsman

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masterzen/winrm"
	"github.com/packer-community/winrmcp/winrmcp"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// ways are the ways clients authenticate in.
var ways = map[string]struct{ tls, ntlm bool }{
	"Basic": {false, false}, "NTLM": {false, true}, "TLS": {true, false}, "TLS+NTLM": {true, true},
}

// only returns a server that offers one scheme.
func only(ntlm bool) *Server {
	s := honest()
	s.Basic, s.NTLM = !ntlm, ntlm
	return s
}

func start(t *testing.T, s *Server, secure bool) *net.TCPAddr {
	t.Helper()
	var cert *tls.Certificate
	if secure {
		cert = certificate(t)
	}
	return serve(t, s, cert)
}

func masterzen(t *testing.T, addr *net.TCPAddr, secure, ntlm bool, password string) *winrm.Client {
	t.Helper()
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	if ntlm {
		params.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
	}
	c, err := winrm.NewClientWithParameters(winrm.NewEndpoint("127.0.0.1", addr.Port, secure, true, nil, nil, nil, 0), testUser, password, params)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMasterzenWinRM(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := only(way.ntlm)
			s.Limits.MaxTimeoutms = 30 * time.Millisecond // time-out faults on the way
			addr := start(t, s, way.tls)
			c := masterzen(t, addr, way.tls, way.ntlm, testPassword)
			again := false // what failed so left its shell
			run := func(line, input string) (stdout, stderr string, code int, err error) {
				for range 5 {
					if stdout, stderr, code, err = c.RunWithContextWithString(t.Context(), line, input); !mixedUp(way.ntlm, err) {
						break
					}
					again = true
				}
				return stdout, stderr, code, err
			}
			for line, want := range map[string]string{"echo hello": "hello\r\n0", "complain x": "x\r\n7", "nonsense": "9009", "fill 1000000": strings.Repeat("x", 1000000) + "0"} {
				stdout, stderr, code, err := run(line, "")
				if got := fmt.Sprint(stdout, stderr, code); err != nil || got != want {
					t.Errorf("%s: %.100q, %v", line, got, err)
				}
			}
			input := strings.Repeat("0123456789", 60000)
			if stdout, _, code, err := run("cat", input); err != nil || code != 0 || stdout != input {
				t.Errorf("cat gave %d bytes, exit %d, %v", len(stdout), code, err)
			}
			if shells, operations := s.Counts(testUser); !again && shells+operations != 0 {
				t.Errorf("%d shells and %d operations are left", shells, operations)
			}
			if _, err := masterzen(t, addr, way.tls, way.ntlm, "wrong").CreateShell(); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

// mixedUp says that the library lost an NTLM handshake: it sends output and
// input requests side by side, and the second step of a handshake goes to
// whichever idle connection comes first, while NTLM authenticates connections.
func mixedUp(ntlm bool, err error) bool {
	return ntlm && err != nil && strings.Contains(err.Error(), "401")
}

func TestMasterzenSeesTheQuotaFault(t *testing.T) {
	s := honest()
	c := masterzen(t, start(t, s, false), false, false, testPassword)
	s.Faults.Inject(Rule{Action: "Create", Do: Fail, Code: 2150859173})
	if _, err := c.CreateShell(); err == nil || err.Error() != "received error response" {
		t.Errorf("got %v", err)
	}
}

// files understands exactly what winrmcp sends: lines appended to a temporary
// file and two PowerShell scripts, told apart by their cmdlets.
type files struct {
	mu    sync.Mutex
	bytes map[string][]byte
}

var (
	appendLine = regexp.MustCompile(`^echo ([A-Za-z0-9+/=]+) >> "%TEMP%\\([^"]+)"$`)
	fullPath   = regexp.MustCompile(`GetFullPath\("([^"]+)"`)
)

func (f *files) Run(_ context.Context, p *Process) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := appendLine.FindStringSubmatch(p.Line); m != nil {
		data, err := base64.StdEncoding.DecodeString(m[1])
		if err != nil {
			return 1
		}
		f.bytes[`$env:TEMP\`+m[2]] = append(f.bytes[`$env:TEMP\`+m[2]], data...)
		return 0
	}
	encoded, ok := strings.CutPrefix(p.Line, "powershell.exe -EncodedCommand ")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		fmt.Fprintf(p.Stderr, "not understood: %.100s", p.Line)
		return 1
	}
	text := utf16String(raw)
	paths := fullPath.FindAllStringSubmatch(text, -1)
	switch {
	case strings.Contains(text, "OpenWrite") && len(paths) == 2:
		f.bytes[paths[1][1]] = f.bytes[paths[0][1]]
	case strings.Contains(text, "Remove-Item") && len(paths) == 1:
		delete(f.bytes, paths[0][1])
	default:
		fmt.Fprintf(p.Stderr, "not understood: %.100s", text)
		return 1
	}
	return 0
}

func TestWinrmcpUploads(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			handler := &files{bytes: map[string][]byte{}}
			s := only(way.ntlm)
			s.Handler = handler
			addr := start(t, s, way.tls)
			config := &winrmcp.Config{Auth: winrmcp.Auth{User: testUser, Password: testPassword}, Https: way.tls, Insecure: true, MaxOperationsPerShell: 15,
				ConnectTimeout: 20 * time.Second, OperationTimeout: time.Minute}
			if way.ntlm {
				config.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
			}
			c, err := winrmcp.New(addr.String(), config)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, 1, 10_000, 200_000} {
				content := make([]byte, size)
				rand.New(rand.NewSource(int64(size))).Read(content)
				path := `C:\` + strconv.Itoa(size)
				if err := c.Write(path, bytes.NewReader(content)); err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if got, ok := handler.bytes[path]; !ok || !bytes.Equal(got, content) {
					t.Errorf("%d bytes: %d arrived", size, len(got))
				}
			}
			if len(handler.bytes) != 4 {
				t.Errorf("%d files, temporary ones are left", len(handler.bytes))
			}
			if shells, operations := s.Counts(testUser); shells+operations != 0 {
				t.Errorf("%d shells and %d operations are left", shells, operations)
			}
		})
	}
}

//go:embed testdata/pywinrm.py
var pywinrmScript string

// legacy lets OpenSSL 3 compute MD4, which NTLM needs.
const legacy = `openssl_conf = init
[init]
providers = providers
[providers]
default = on
legacy = on
[on]
activate = 1
`

func TestPywinrm(t *testing.T) {
	python := "/usr/bin/python3" // Debian's, with its own packages
	if out, err := exec.Command(python, "-c", "import winrm").CombinedOutput(); err != nil {
		testutil.Missing(t, fmt.Sprintf("python3-winrm is not installed: %s", out))
	}
	conf := filepath.Join(t.TempDir(), "openssl.cnf")
	if err := os.WriteFile(conf, []byte(legacy), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, way := range map[string]struct {
		tls, ntlm, sealed bool
		transport         string
	}{
		"Basic HTTP":  {false, false, false, "basic"},
		"Basic HTTPS": {true, false, false, "basic"},
		"NTLM HTTPS":  {true, true, false, "ntlm"},
		"NTLM sealed": {false, true, true, "ntlm"},
	} {
		t.Run(name, func(t *testing.T) {
			s := only(way.ntlm)
			s.AllowUnencrypted = !way.sealed
			password := testPassword
			if !way.ntlm {
				password = "P@ssw0rd!" // python's requests sends Basic in Latin-1
				s.Users[testUser] = password
			}
			s.Limits.MaxTimeoutms = 100 * time.Millisecond
			var timeouts int
			var mu sync.Mutex
			s.OnEvent = func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(e.Detail, "fault 2150858793") {
					timeouts++
				}
			}
			addr := start(t, s, way.tls)
			scheme := "http"
			if way.tls {
				scheme = "https"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, "-W", "ignore", "-c", pywinrmScript)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "OPENSSL_CONF=" + conf, "NO_PROXY=*",
				"ENDPOINT=" + scheme + "://" + addr.String() + "/wsman", "TRANSPORT=" + way.transport, "WINRM_USER=" + testUser, "WINRM_PASSWORD=" + password}
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "ok" {
				t.Errorf("%v:\n%s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			if timeouts == 0 {
				t.Error("no time-out fault was sent")
			}
			if shells, _ := s.Counts(testUser); shells != 0 {
				t.Errorf("%d shells are left", shells)
			}
		})
	}
}
