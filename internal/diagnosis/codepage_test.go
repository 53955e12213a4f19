package diagnosis

import (
	"slices"
	"strings"
	"testing"
)

// Texts of our own in each code page, as the reason of a refused setting may well be said.
var pageTexts = []struct {
	name string
	page int
	text string
}{
	{"German", 1252, "Die Länge des Werts ist ungültig. Bitte prüfen Sie die Größe für das Schlüsselfeld."},
	{"French", 1252, "Le paramètre n'est pas défini dans ce composant, ou sa valeur a été refusée."},
	{"Spanish", 1252, "La configuración no está definida en este componente; ¿está dañada la imagen?"},
	{"Portuguese", 1252, "A configuração não está definida neste componente. Atualizações são necessárias."},
	{"Italian", 1252, "Il valore è troppo lungo, perciò l'impostazione non può essere usata così."},
	{"Swedish", 1252, "Värdet är för långt, så inställningen går inte att använda här."},
	{"Danish", 1252, "Værdien er for lang, så indstillingen kan ikke bruges på denne måde før øvrige."},
	{"Icelandic", 1252, "Gildið er of langt. Stillingin þekkist ekki í þessum hluta, svo að henni var sleppt."},
	{"Faroese", 1252, "Virðið er ov langt, og tí bleiv tað ikki nýtt í hesum partinum."},
	{"Polish", 1250, "Wartość jest za długa. Ustawienie nie zostało określone w tym składniku, proszę sprawdzić źródło."},
	{"Czech", 1250, "Hodnota je příliš dlouhá. Nastavení není v této součásti definováno, zkontrolujte ji."},
	{"Hungarian", 1250, "Az érték túl hosszú. A beállítás nincs megadva ebben az összetevőben, ezért törlődött."},
	{"Romanian", 1250, "Valoarea nu este validă; setarea nu este valabilă în această componentă şi nu poate fi aplicată."},
	{"Turkish", 1254, "Değer çok uzun. Ayar bu bileşende tanımlı değil, lütfen yanıt dosyasını gözden geçirin."},
	{"Lithuanian", 1257, "Reikšmė per ilga. Nuostata šiame komponente neapibrėžta, patikrinkite atsakymų failą."},
	{"Latvian", 1257, "Vērtība ir pārāk gara. Šajā komponentā iestatījums nav definēts, lūdzu, pārbaudiet to."},
	{"Russian", 1251, "Значение слишком длинное. Параметр не определён в этом компоненте, проверьте файл ответов."},
	{"Ukrainian", 1251, "Значення задовге. Параметр не визначено в цьому компоненті, перевірте файл відповідей."},
	{"Bulgarian", 1251, "Стойността е твърде дълга. Настройката не е дефинирана в този компонент."},
	{"Greek", 1253, "Η τιμή είναι πολύ μεγάλη. Η ρύθμιση δεν έχει οριστεί σε αυτό το στοιχείο."},
	{"Hebrew", 1255, "הערך ארוך מדי. ההגדרה אינה מוגדרת ברכיב זה, בדוק את קובץ התשובות."},
	{"Arabic", 1256, "القيمة طويلة جدا. الإعداد غير معرف في هذا المكون، تحقق من ملف الإجابات."},
	{"Thai", 874, "ค่ายาวเกินไป การตั้งค่านี้ไม่ได้กำหนดไว้ในคอมโพเนนต์นี้"},
	{"Japanese", 932, "値が長すぎます。この設定はコンポーネントで定義されていません。ファイルを確認してください。"},
	{"Japanese, short", 932, "設定が見つかりません。"},
	{"Korean", 949, "값이 너무 깁니다. 이 구성 요소에 설정이 정의되어 있지 않습니다."},
	{"Simplified Chinese", 936, "值太长。此组件中未定义该设置，请检查应答文件是否有效。"},
	{"Traditional Chinese", 950, "值太長。此元件中未定義該設定，請檢查回應檔案是否有效。"},
}

func inPage(t *testing.T, page int, text string) string {
	t.Helper()
	out, err := codePages[page].NewEncoder().String(text)
	if err != nil {
		t.Fatalf("%d: %q: %v", page, text, err)
	}
	return out
}

func TestTheCodePageIsToldByTheLetters(t *testing.T) {
	before := stamp(setupBegins, strings.ReplaceAll(smiOf, "%s", "x"))
	for _, test := range pageTexts {
		log := []byte(before + "2025-07-22 21:00:05, Error                        [setup.exe] SMI data results dump: Description = " + inPage(t, test.page, test.text) + "\r\n" + stamp(childFailed))
		for _, size := range []int{1, 7, 1 << 20} {
			r := NewReading("setupact.log", 0)
			for piece := range slices.Chunk(log, size) {
				if _, err := r.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			got := r.Log()
			if got.Page.Number != test.page || got.Page.Why == "" {
				t.Errorf("%s in pieces of %d: %d (%s), want %d", test.name, size, got.Page.Number, got.Page.Why, test.page)
				break
			}
			if !slices.ContainsFunc(got.Run.Lines, func(l Line) bool { return strings.Contains(l.Message, test.text) }) {
				t.Errorf("%s in pieces of %d: %q", test.name, size, got.Run.Lines)
				break
			}
		}
		if run := LastRun(log); !slices.ContainsFunc(run.Lines, func(l Line) bool { return strings.Contains(l.Message, test.text) }) {
			t.Errorf("%s: LastRun has %q", test.name, run.Lines)
		}
		// What is given counts.
		other := NewReading("setupact.log", 1252)
		_, _ = other.Write(log)
		if got := other.Log(); got.Page != (Page{Number: 1252}) || test.page != 1252 && slices.ContainsFunc(got.Run.Lines, func(l Line) bool { return strings.Contains(l.Message, test.text) }) {
			t.Errorf("%s, read as 1252: %+v %q", test.name, got.Page, got.Run.Lines)
		}
	}
}

func TestWhatElseTellsTheCodePage(t *testing.T) {
	for name, test := range map[string]struct {
		log  string
		page int
		why  string
	}{
		"UTF-8":                           {stamp(setupBegins, "Info IBS Größe 設定"), 0, ""},
		"UTF-16":                          {string(inUTF16(stamp(setupBegins, "Info IBS Größe 設定"), 0)), 0, ""},
		"UTF-16 without a mark":           {string(inUTF16(stamp(setupBegins, "Info IBS Größe"), 0)[2:]), 0, ""},
		"half a character at its end":     {"2025-07-22 21:00:05, Info IBS Gr\xc3", 1252, "nothing in it"},
		"ASCII":                           {stamp(setupBegins), 0, ""},
		"the log names it":                {stamp("Info                  IBS    ANSI code page: 1250", "Info IBS \xe9\xe1"), 1250, "names it"},
		"a language, and letters of both": {stamp("Info                  IBS    Installed UI language hu-HU", "Info IBS sz\xe9p \xe1r"), 1250, "hu-HU"},
		"a language that does not fit":    {stamp("Info                  IBS    Installed UI language ja-JP", "Info IBS nicht g\xfcltig, f\xfcr die Gr\xf6\xdfe"), 1252, "Western"},
		"bytes that are no text":          {stamp("Info IBS \x81\x8d\x8f\x90\x9d"), 1252, "nothing in it"},
		"such, and a language":            {stamp("Info                  IBS    UILanguage ko-KR", "Info IBS \xff\xff\xff"), 1252, "nothing in it"},
		"a word, and its language":        {stamp("Info                  IBS    UILanguage ko-KR", "Info IBS "+inPage(t, 949, "값")), 949, "ko-KR"},
		"a language pack of another one":  {stamp("Error SYSPRP "+appx("Microsoft.LanguageExperiencePackzh-CN_19041.26.68.0_neutral__8wekyb3d8bbwe"), "Info IBS ung\xfcltige Gr\xf6\xdfe f\xfcr"), 1252, "Western"},
	} {
		got := ReadLog("setupact.log", []byte(test.log)).Page
		if got.Number != test.page || !strings.Contains(got.Why, test.why) {
			t.Errorf("%s: %+v, want %d", name, got, test.page)
		}
	}
}

// Any bytes have a code page or none, whatever the pieces they come in, and what is held
// back is bounded.
func FuzzCodePage(f *testing.F) {
	for _, test := range pageTexts {
		text, err := codePages[test.page].NewEncoder().String(test.text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(text), uint16(3))
	}
	f.Add([]byte("\xff\xfea\x00"), uint16(1))
	f.Add([]byte("code page 932 \xff"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		if len(b) > maxSeen {
			return
		}
		whole := ReadLog("x.log", b)
		r := NewReading("x.log", 0)
		for piece := range slices.Chunk(b, int(size)+1) {
			_, _ = r.Write(piece)
		}
		got := r.Log()
		if got.Page != whole.Page || !slices.Equal(got.Run.Lines, whole.Run.Lines) {
			t.Errorf("%+v %q, and in pieces of %d %+v %q", whole.Page, whole.Run.Lines, int(size)+1, got.Page, got.Run.Lines)
		}
		given := NewReading("x.log", 1251)
		_, _ = given.Write(b)
		if got := given.Log().Page; (got != Page{}) != (whole.Page != Page{}) || got.Number != 0 && got.Number != 1251 {
			t.Errorf("given 1251: %+v, and else %+v", got, whole.Page)
		}
		if n := got.Page.Number; n != 0 && codePages[n] == nil {
			t.Errorf("code page %d", n)
		}
	})
}
