package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

var lineMarks = regexp.MustCompile(`echo (\S*line=\d+)`)

func TestWhatBecomesOfTheLastLines(t *testing.T) {
	cut := errors.New("cut")
	for name, c := range map[string]struct {
		worked int // lines that did
		code   int
		said   string
		err    error
		end    Ending
		want   string // of the error, with its type
	}{
		"all of it":                           {2, 0, "", nil, PowerOff, "<nil> <nil>"},
		"no end":                              {2, 0, "", nil, StayUp, "<nil> <nil>"},
		"the second fails":                    {1, 3, "no", nil, PowerOff, `*guest.LineError exit code 3: "no"`},
		"a line fails without an exit code":   {1, 0, "", nil, PowerOff, "*guest.LineError exit code 0"},
		"Windows refuses to end":              {2, 1115, "busy", nil, PowerOff, `*guest.EndError exit code 1115: "busy"`},
		"the connection goes with Windows":    {2, -1, "", cut, PowerOff, "<nil> <nil>"},
		"the connection goes with a restart":  {2, -1, "", cut, Restart, "<nil> <nil>"},
		"the connection goes in the last":     {2, -1, "", cut, StayUp, "*guest.UnsaidError cut"},
		"the connection goes in the second":   {1, -1, "", cut, PowerOff, "*guest.UnsaidError cut"},
		"nothing was sent":                    {0, -1, "", ErrNotSent, PowerOff, "*errors.errorString " + ErrNotSent.Error()},
		"what a line says is not the answer":  {2, 0, "line=x", nil, PowerOff, "<nil> <nil>"},
		"the first fails, and says something": {0, 1, "a\r\nb", nil, StayUp, `*guest.LineError exit code 1: "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			f.start = func(_ context.Context, r Request) error {
				for _, m := range lineMarks.FindAllStringSubmatch(r.Line, c.worked) {
					fmt.Fprintf(r.Stdout, "%s\r\n", strings.ReplaceAll(m[1], "^", ""))
				}
				_, _ = io.WriteString(r.Stdout, c.said+"\r\n")
				*r.Exit = c.code
				return c.err
			}
			err := New(f, "id").AtTheEnd(t.Context(), []string{"one", "two"}, c.end, CommandLimit)
			if got := strings.ReplaceAll(fmt.Sprintf("%T %v", err, err), "\r\n", " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if n := len(lineMarks.FindAllString(f.lines()[0], -1)); n != 2 {
				t.Errorf("%d marks in %s", n, f.lines()[0])
			}
		})
	}
}
