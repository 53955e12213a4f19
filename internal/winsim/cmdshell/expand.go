package cmdshell

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Env holds environment variables by upper-case name.
type Env map[string]Var

// Var is a variable with its name as first spelt.
type Var struct{ Name, Value string }

// Set sets a variable; an empty value removes it, as in cmd.exe.
func (e Env) Set(name, value string) {
	id := strings.ToUpper(name)
	if value == "" {
		delete(e, id)
		return
	}
	if old, ok := e[id]; ok {
		name = old.Name
	}
	e[id] = Var{name, value}
}

// Get returns a variable.
func (e Env) Get(name string) string { return e[strings.ToUpper(name)].Value }

// variable returns a variable, also the ones cmd.exe makes up.
func (s *Shell) variable(name string) (string, bool) {
	if v, ok := s.Env[strings.ToUpper(name)]; ok {
		return v.Value, true
	}
	now := time.Now()
	switch strings.ToUpper(name) {
	case "ERRORLEVEL":
		return strconv.Itoa(s.errorLevel), true
	case "CD":
		return s.Dir, true
	case "RANDOM":
		return strconv.Itoa(rand.IntN(32768)), true
	case "DATE":
		return now.Format("Mon 01/02/2006"), true
	case "TIME":
		return fmt.Sprintf("%2d%s", now.Hour(), now.Format(":04:05.00")), true
	}
	return "", false
}

// expand replaces %NAME%. On a command line what is not defined stays as it
// is; in a batch file it goes, %% is one percent sign, and %1 is an argument.
func (s *Shell) expand(line string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] != '%' {
			b.WriteByte(line[i])
			continue
		}
		if s.batch != nil {
			if text, n, err := s.batch.argument(line[i+1:]); err != nil {
				return "", err
			} else if n > 0 {
				b.WriteString(text)
				i += n
				continue
			}
		}
		end := strings.IndexByte(line[i+1:], '%')
		if end < 0 {
			if s.batch == nil {
				b.WriteByte('%')
			}
			continue
		}
		name := line[i+1 : i+1+end]
		bare, modifier, modified := strings.Cut(name, ":")
		if value, ok := s.variable(bare); ok && modified {
			return "", fmt.Errorf("%w: %%%s:%s%%", ErrUnsupported, bare, modifier)
		} else if ok {
			b.WriteString(value)
			i += end + 1
			continue
		}
		if s.batch == nil || name == "" {
			b.WriteByte('%') // the closing sign may open the next name
			continue
		}
		i += end + 1
	}
	return b.String(), nil
}

// SplitArgs splits a command line tail as the C run-time library does: blanks
// outside quotes separate, 2n backslashes before a quote are n.
func SplitArgs(s string) []string {
	var args []string
	var b strings.Builder
	quoted, have := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			n := 0
			for i < len(s) && s[i] == '\\' {
				n++
				i++
			}
			if i < len(s) && s[i] == '"' {
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
				} else {
					i--
				}
			} else {
				b.WriteString(strings.Repeat(`\`, n))
				i--
			}
			have = true
		case c == '"':
			quoted = !quoted
			have = true
		case !quoted && (c == ' ' || c == '\t'):
			if have {
				args = append(args, b.String())
			}
			b.Reset()
			have = false
		default:
			b.WriteByte(c)
			have = true
		}
	}
	if have {
		args = append(args, b.String())
	}
	return args
}
