package seed

// The names below hold characters of one to four bytes in UTF-8, some of them composed of several code points:
// what a byte offset may cut through (contract 4.9) and what a careless re-encoding would change.

func (s *story) family() string {
	return s.pick("Smith", "O'Connor", "Müller", "Łukasiewicz", "Đặng", "Ångström", "Šimůnek", "Παπαδόπουλος",
		"Иванова", "محمود", "שפירא", "शर्मा", "สมบูรณ์", "王", "さくら", "김", "𠮷野", "ʻŌpūnui")
}

func (s *story) given() string {
	return s.pick("Ada", "José", "Zoë", "Ngọc Ánh", "Jürgen", "Анна", "ليلى", "अर्जुन", "小明", "花子", "지우", "𠀋一", "Mary-Ann", "Þór")
}

func (s *story) city() string {
	return s.pick("Springfield", "Zürich", "København", "Kraków", "São Paulo", "Αθήνα", "Київ", "القاهرة", "दिल्ली", "東京", "서울", "กรุงเทพ")
}

// remark changes with every version.
func (s *story) remark() string {
	return s.turn("Seen as planned.", "Rückfrage an die Station – erledigt ✓", "Réévalué après 24 h", "已复查，情况稳定", "経過良好 🙂",
		"Требуется повторный осмотр", "تمت المراجعة", "Family informed 👩‍⚕️➡️👪", "pH < 7.35 & lactate > 2 mmol/l", "\"quoted\" \\ back\\slash\tand tab")
}

func (s *story) narrative(title string) resource {
	return resource{
		"status": "generated",
		"div":    `<div xmlns="http://www.w3.org/1999/xhtml"><p><b>` + title + `</b> ` + s.family() + ` – ` + s.city() + ` 🫀</p></div>`,
	}
}
