package diagnosis

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// A log that is neither UTF-8 nor UTF-16 is in the ANSI code page of the guest, which it
// does not say. It is told by what its bytes are in each of them: text has the letters
// that its language uses most, beside each other, and few others.

// language is what text of a language looks like. Where two fit as well the first one
// stands, so that the commonest are first.
type language struct {
	name string
	page int
	// usual are its commonest letters or signs. Of an alphabet other than Latin, script is
	// what all its letters are of; Latin ones have no letters but these and ASCII.
	usual  string
	script *unicode.RangeTable
}

// languages have the letters of each alphabet (Unicode CLDR, exemplar characters), of the
// others the commonest ones, and the commonest signs of Chinese and Korean in messages
// about settings, files and errors.
var languages = []language{
	{"Western European", 1252, "äöüßÄÖÜ„“–", nil}, {"French", 1252, "éèêàçùâîôûëïœÉÀÇ«»’°", nil},
	{"Spanish", 1252, "áéíóúñüÁÉÍÓÚÑ¿¡«»", nil}, {"Portuguese", 1252, "ãõáéíóúâêôçàÃÕÁÉÍÓÇºª", nil}, {"Italian", 1252, "àèéìòùÈÀ«»’", nil}, {"Nordic", 1252, "åäöæøÅÄÖÆØé", nil}, {"Icelandic or Faroese", 1252, "áðéíóúýþæöøÁÐÞÆÖ", nil},
	{"Polish", 1250, "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ„”", nil}, {"Czech or Slovak", 1250, "áčďéěíňóřšťúůýžľĺŕôäÁČĎÉÍŇŘŠŤÚŽ", nil},
	{"Hungarian", 1250, "áéíóöőúüűÁÉÍÓÖŐÚÜŰ", nil}, {"Romanian", 1250, "ăâîşţșțĂÂÎŞŢ", nil}, {"Croatian or Slovenian", 1250, "čćđšžČĆĐŠŽ", nil},
	{"Turkish", 1254, "ğışçöüİâĞŞÇÖÜ", nil}, {"Baltic", 1257, "āčēģīķļņšūžąęėįųõäöüĀČĒĢĪĶĻŅŠŪŽ", nil}, {"Vietnamese", 1258, "ăâđêôơưàáéèíìóòúùýĐ\u0300\u0301\u0303\u0309\u0323", nil},
	{"Cyrillic", 1251, "оеаинтсрвлкмдпуяыйзьіїчбгх", unicode.Cyrillic}, {"Greek", 1253, "αοιετσνηυρπκμλςάόίέήύώω", unicode.Greek}, {"Hebrew", 1255, "יוהלאתרבשמנםדקחפעט", unicode.Hebrew},
	{"Arabic", 1256, "المنيتروعبدةفسهكقحأ", unicode.Arabic}, {"Thai", 874, "านรอกเงมยลวดทสตะปบคหแไใ", unicode.Thai},
	{"Japanese", 932, "のをにはがたするいでしてまんせれこさきとファイルンスーシムトエラ設定", unicode.Han}, {"Korean", 949, "이다는을에의가로하지한고서사기정시할수없습니설오류", unicode.Hangul},
	{"Simplified Chinese", 936, "的无法文件不错误设置安装系统用户程序在中未找到是有效此组应值", unicode.Han}, {"Traditional Chinese", 950, "的無法檔案不錯誤設定安裝系統使用者程式在中未找到是有效此組應值", unicode.Han},
}

const (
	maxSample = 64 << 10 // bytes of lines that are not ASCII, which are looked at
	// hinted is by how much of its best a language is preferred that the log names.
	hinted = 0.25
	// leastLetters and leastScore are less than any text of some words has.
	leastLetters, leastScore = 4, 0.35
)

// Page is the code page that a log was read in, and why.
type Page struct {
	// Number of the ANSI code page; 0: none was needed.
	Number int
	Why    string
}

// pageOf tells the code page of a text of which not all is UTF-8.
func pageOf(text []byte) Page {
	var sample []byte
	for line := range bytes.Lines(text) {
		if len(sample) >= maxSample {
			break
		}
		if !utf8.Valid(line) {
			sample = append(sample, line[:min(len(line), maxLine)]...)
		}
	}
	if len(sample) == 0 {
		return Page{}
	}
	if page := pageLine.FindSubmatch(text); page != nil {
		if n, err := CodePage(string(page[1])); err == nil {
			return Page{n, "the log names it"}
		}
	}
	tag, tagged := tagOf(text)
	best, score, total, fits := languages[0], 0.0, high(sample), false
	for _, l := range languages {
		s := l.score(sample)
		if l.page == tagged && s > 0 {
			s += hinted * float64(total)
			fits = true
		}
		if s > score {
			best, score = l, s
		}
	}
	unsure := total < leastLetters || score < leastScore*float64(total)
	switch {
	case unsure && fits:
		return Page{tagged, "the log names the language " + tag}
	case unsure:
		return Page{1252, "nothing in it tells another one"}
	case best.page == tagged:
		return Page{best.page, fmt.Sprintf("its letters are %s, and it names the language %s", best.name, tag)}
	}
	return Page{best.page, "its letters are " + best.name}
}

var (
	pageLine    = lazyregexp.New(`(?i)\b(?:ansi )?code ?page[ :=#]{1,3}(?:cp|windows-)?(\d{3,4})\b`)
	languageTag = lazyregexp.New(`\b[a-z]{2,3}(?:-[A-Z][a-z]{3})?-(?:[A-Z]{2})\b`)
)

// tagOf is the language that a log names most often, other than those of code page 1252,
// which Windows falls back to, and its code page; 0 where there is none.
func tagOf(text []byte) (tag string, page int) {
	count := map[string]int{}
	for _, m := range languageTag.FindAllString(string(text[:min(len(text), 4*maxSample)]), 4096) {
		if n, err := CodePage(m); err == nil && n != 1252 {
			count[m]++
		}
	}
	for name, n := range count {
		if n > count[tag] || n == count[tag] && name < tag {
			tag = name
		}
	}
	if tag != "" {
		page, _ = CodePage(tag) // which it has, or it was not counted
	}
	return tag, page
}

// high is how many bytes are not ASCII.
func high(sample []byte) (n int) {
	for _, c := range sample {
		if c >= utf8.RuneSelf {
			n++
		}
	}
	return n
}

// score is how much a text looks like one of the language, about 1 for each byte that is
// not ASCII at most; below 0 it does not.
func (l language) score(sample []byte) float64 {
	text, err := codePages[l.page].NewDecoder().Bytes(sample)
	if err != nil {
		return -1
	}
	width := 1.0
	if l.page > 900 && l.page < 1000 {
		width = 2 // two bytes a sign
	}
	score := 0.0
	var before rune
	for _, r := range string(text) {
		if r >= utf8.RuneSelf {
			score += width * l.letter(r, before)
		}
		before = r
	}
	return score
}

// letter is what a letter or sign is worth behind another.
func (l language) letter(r, before rune) float64 {
	ascii := before < utf8.RuneSelf && unicode.IsLetter(before)
	switch {
	case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Co, r):
		return -3
	case l.script == nil && !strings.ContainsRune(l.usual, r):
		return -1.5
	case l.script == nil && (ascii || unicode.IsSpace(before) || unicode.IsPunct(before)):
		return 1
	case l.script == nil:
		return 0.5
	case ascii && !unicode.IsPunct(r):
		return -1.5 // a word of two alphabets, or half a sign was ASCII
	case unicode.IsUpper(r) && unicode.IsLower(before):
		return -1
	case strings.ContainsRune(l.usual, r):
		return 1
	case l.page == 932 && unicode.In(r, unicode.Hiragana, unicode.Katakana) && r < 0xFF00:
		return 0.8
	case unicode.Is(l.script, r), unicode.IsPunct(r) && l.page < 1000:
		return 0.2
	}
	return -0.5
}

// pageSniffer takes the bytes of a log and holds back what is not UTF-8 until its code
// page can be told.
type pageSniffer struct {
	given  int // the page is known
	held   []byte
	begun  bool   // something is held, and what follows is too
	wide   bool   // UTF-16
	seen   int    // bytes, as long as there are few
	head   []byte // the begin of the log, for what it names
	tail   []byte // the end of the last piece: half a character
	page   Page
	chosen bool
}

const (
	maxHeld = 256 << 10
	maxSeen = 64 << 10 // of the begin, for the languages that it names
)

// feed returns what can be read on; it is to be read in the code page that is chosen by
// then.
func (s *pageSniffer) feed(b []byte) []byte {
	if s.seen < sniff {
		b = append(s.tail, b...)
		s.tail = nil
		if s.seen = len(b); s.seen < sniff {
			s.tail = b
			return nil
		}
		s.wide = isWide(b[:sniff])
	}
	if s.wide || s.chosen {
		return b
	}
	if s.given != 0 {
		return s.passed(b)
	}
	if !s.begun {
		whole := slices.Concat(s.tail, b)
		if valid := validPart(whole); valid < 0 {
			s.tail = nil
			s.begun, s.held = true, whole
		} else {
			s.tail = slices.Clone(whole[valid:])
			s.head = append(s.head, whole[:min(valid, maxSeen-len(s.head))]...)
			return whole[:valid]
		}
	} else {
		s.held = append(s.held, b...)
	}
	if len(s.held) < maxHeld {
		return nil
	}
	return s.end()
}

// passed notes whether the page that is known was needed.
func (s *pageSniffer) passed(b []byte) []byte {
	whole := slices.Concat(s.held, b)
	if valid := validPart(whole); valid < 0 {
		s.page, s.chosen, s.held = Page{Number: s.given}, true, nil
	} else {
		s.held = slices.Clone(whole[valid:])
	}
	return b
}

// end chooses, and returns what was held.
func (s *pageSniffer) end() []byte {
	if s.given != 0 {
		if !s.chosen && !s.wide && len(s.held)+len(s.tail) > 0 && !utf8.Valid(append(s.held, s.tail...)) {
			s.page = Page{Number: s.given}
		}
		return s.tail
	}
	rest := slices.Concat(s.held, s.tail)
	if !s.chosen && len(rest) > 0 && !s.wide {
		s.page, s.chosen = pageOf(slices.Concat(s.head, rest)), true
	}
	s.held, s.tail, s.head, s.begun = nil, nil, nil, false
	return rest
}

// validPart is how much of a text is whole UTF-8, -1 where a part of it is none.
func validPart(b []byte) int {
	n := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				n = len(b) - i
			}
			break
		}
	}
	if !utf8.Valid(b[:n]) {
		return -1
	}
	return n
}

// isWide says whether a text that begins so is UTF-16.
func isWide(b []byte) bool {
	var p parser
	if len(b) < 2 {
		return false
	}
	p.decide(b)
	return p.enc != eightBit
}
