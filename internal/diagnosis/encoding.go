package diagnosis

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// sniff is how many bytes are needed to tell the encoding.
const sniff = 4

type encodingForm uint8

const (
	undecided encodingForm = iota
	eightBit               // UTF-8, or an ANSI code page line by line
	utf16le
	utf16be
)

// codePages are the ANSI code pages of Windows' locales by their number
// (learn.microsoft.com/windows/win32/intl/code-page-identifiers). Windows-1252
// is what a log is read in where none is named.
var codePages = map[int]encoding.Encoding{
	874: charmap.Windows874, 932: japanese.ShiftJIS, 936: simplifiedchinese.GBK, 949: korean.EUCKR, 950: traditionalchinese.Big5,
	1250: charmap.Windows1250, 1251: charmap.Windows1251, 1252: charmap.Windows1252, 1253: charmap.Windows1253, 1254: charmap.Windows1254,
	1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257, 1258: charmap.Windows1258,
}

// localePages are the code pages of languages, by the part of their name before
// the first hyphen (or the whole of it), where that is not Windows-1252.
var localePages = map[string]int{
	"th": 874, "ja": 932, "zh": 936, "zh-tw": 950, "zh-hk": 950, "zh-mo": 950, "zh-hant": 950, "ko": 949,
	"cs": 1250, "hr": 1250, "hu": 1250, "pl": 1250, "ro": 1250, "sk": 1250, "sl": 1250, "sq": 1250, "bs": 1250,
	"ru": 1251, "uk": 1251, "bg": 1251, "be": 1251, "mk": 1251, "sr-cyrl": 1251, "sr": 1250, "kk": 1251, "ky": 1251, "tt": 1251,
	"el": 1253, "tr": 1254, "az": 1254, "he": 1255, "ar": 1256, "fa": 1256, "ur": 1256, "et": 1257, "lt": 1257, "lv": 1257, "vi": 1258,
}

// ErrCodePage is the error of a code page that logs are not read in.
var ErrCodePage = errors.New("not an ANSI code page of Windows; give its number (932, 1251) or the locale of the guest (ja-JP, ru-RU)")

// CodePage returns the ANSI code page of a guest's locale, for instance 932 for
// ja-JP, or the one of that number in text. Every other locale has 1252.
func CodePage(text string) (int, error) {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), "_", "-"))
	if n, ok := parseCode(strings.TrimPrefix(name, "cp")); ok {
		if codePages[int(n)] == nil {
			return 0, ErrCodePage
		}
		return int(n), nil
	}
	language, _, _ := strings.Cut(name, "-")
	if len(language) < 2 || len(language) > 3 || strings.Trim(language, "abcdefghijklmnopqrstuvwxyz") != "" {
		return 0, ErrCodePage
	}
	for n := len(name); n > 0; n = strings.LastIndexByte(name[:n], '-') {
		if page := localePages[name[:n]]; page != 0 {
			return page, nil
		}
	}
	return 1252, nil
}

// KnownPage says whether logs can be read in that code page.
func KnownPage(number int) bool { return codePages[number] != nil }

// decide tells the encoding from the first bytes and takes off a byte order
// mark. A log is looked at from its middle too, so the mark may be missing.
func (p *parser) decide(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		p.enc = utf16le
		return b[2:]
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		p.enc = utf16be
		return b[2:]
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		p.enc = eightBit
		return b[3:]
	case len(b) >= sniff && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		p.enc = utf16le
	case len(b) >= sniff && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		p.enc = utf16be
	default:
		p.enc = eightBit
	}
	return b
}

func (p *parser) decode(b []byte) string {
	switch p.enc {
	case utf16le:
		return decode16(b, 0)
	case utf16be:
		return decode16(b, 1)
	}
	return decode8(b, p.page)
}

// decode8 reads UTF-8, and the code page where that is not valid.
func decode8(b []byte, page int) string {
	if len(b) == maxLine { // the cut may have split a character
		for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b[len(b)-min(len(b), utf8.UTFMax):]); i++ {
			b = b[:len(b)-1]
		}
	}
	if utf8.Valid(b) {
		return printable(string(b))
	}
	ansi := codePages[page]
	if ansi == nil {
		ansi = charmap.Windows1252
	}
	// A decoder of these code pages replaces what it cannot read and has no errors.
	text, err := ansi.NewDecoder().Bytes(b)
	if err != nil {
		text = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	return printable(string(text))
}

// decode16 reads UTF-16; low is the place of the low byte in a unit.
func decode16(b []byte, low int) string { return printable(text16(b, low)) }

// text16 is decode16 for a text that nobody is shown. Each unit that is no
// character stands for one.
func text16(b []byte, low int) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+low]) | uint16(b[2*i+1-low])<<8
	}
	return string(utf16.Decode(units))
}

// printable replaces control characters: log lines end up on a terminal. NULs
// are left out at both ends: what a machine that lost its power had allocated
// of a log and not yet written.
func printable(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f || s[i] == '\t' || s[i] == '\r'
	}
	if !plain {
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\t' && r != '\r' {
				return utf8.RuneError
			}
			return r
		}, strings.Trim(s, "\x00"))
	}
	return head(s, maxLine) // a replaced byte takes three
}

// head is the beginning of a text, of at most n bytes and whole characters.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
