package fhir

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a parser says may quote the resource, and that is a person's health data. So nothing of its text is kept but
// words that parsers use themselves, numbers of lines and bytes, and paths of elements.

// parserWords are those words, each between blanks. One too few only makes a text poorer.
const parserWords = " a about accepted after all allowed already an and another any are array as at attribute base64 be been before " +
	"beginning boolean but by byte bytes can cannot cardinality character characters checking code collection comma constraint contain " +
	"contained contains content control convert converting could data date datetime decimal delimiter depth deserialization deserialize " +
	"did digits does double duplicate each element elements empty encoding encountered end enum error errors escape exceeded expect " +
	"expectation expected extra failed failure fhir file following for format found has have id import in incomplete incorrect input " +
	"instant integer invalid is it its json known length letters line linenumber literal location match matching maximum meta minimum " +
	"missing more must name narrative negative newline no not null number object of on one only or out parse parser parsed parsing path " +
	"pattern position positive primitive processing properties property quantity range reached reader reading reference repeating required " +
	"resource resources resourcetype schema sequence should single size source start string structure such support supported syntax " +
	"system text than that the there this time to token too tree type types unable unescaped unexpected unexpectedly unknown unrecognized " +
	"unsupported unterminated until uri url use used utf8 valid validation value values version versionid lastupdated was were when where " +
	"which while with within without wrong xhtml xml bytepositioninline "

var (
	// quotedText is a quoted part of a text; one that never ends reaches to the end of the text.
	quotedText = regexp.MustCompile(`"[^"]*("|$)|'[^']*('|$)|‘[^’]*(’|$)|“[^”]*(”|$)|` + "`[^`]*(`|$)")
	// elementPath is a place in a resource, such as Patient.name[0].family.
	elementPath = regexp.MustCompile(`^([A-Z][A-Za-z]*\.)?[a-z][A-Za-z]*(\[[0-9]{1,6}\])*(\.[a-z][A-Za-z]*(\[[0-9]{1,6}\])*)*$`)
	// announced is the end of a text that a path follows.
	announced   = regexp.MustCompile(`(?i)\b(path|location)[\s:(]*$`)
	wordOrSigns = regexp.MustCompile(`[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+`)
	// placeBefore is the end of a text that the number of a line or a byte follows.
	placeBefore = regexp.MustCompile(`(?i)\b(line|position|byte|bytepositioninline|linenumber)( number)?[ :]{1,3}$`)
	fewDigits   = regexp.MustCompile(`^[0-9]{1,9}$`)
)

// withoutValues is a server's text without anything that it may have taken from a resource.
func withoutValues(text string) string {
	text = tidy(text)
	var kept strings.Builder
	from := 0
	for _, at := range quotedText.FindAllStringIndex(text, -1) {
		before, quoted := text[from:at[0]], strings.Trim(text[at[0]:at[1]], "\"'‘’“”`")
		kept.WriteString(knownWords(before))
		if elementPath.MatchString(quoted) && announced.MatchString(before) {
			kept.WriteString("'" + quoted + "'")
		} else {
			kept.WriteString("'…'")
		}
		from = at[1]
	}
	kept.WriteString(knownWords(text[from:]))
	return tidy(kept.String())
}

// knownWords keeps the words that parsers use, and puts … in the place of all others.
func knownWords(text string) string {
	var kept strings.Builder
	for _, part := range wordOrSigns.FindAllString(text, -1) {
		first, _ := utf8.DecodeRuneInString(part)
		switch {
		case !unicode.In(first, unicode.L, unicode.M, unicode.N):
			kept.WriteString(strings.Map(plainSign, part))
		case strings.Contains(parserWords, " "+strings.ToLower(part)+" "),
			fewDigits.MatchString(part) && placeBefore.MatchString(kept.String()):
			kept.WriteString(part)
		default:
			kept.WriteString("…")
		}
	}
	return kept.String()
}

func plainSign(r rune) rune {
	if r > unicode.MaxASCII {
		return '…'
	}
	return r
}
