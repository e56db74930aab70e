package seed

import "fmt"

func (s *story) name() []resource {
	return list(resource{"use": "official", "family": s.family(), "given": []string{s.given(), s.given()}})
}

func (s *story) address() []resource {
	return list(resource{"line": []string{fmt.Sprintf("%d %s", 1+s.IntN(400), s.family())}, "city": s.city(), "postalCode": fmt.Sprintf("%05d", s.IntN(100_000))})
}

func (s *story) identifier(kind string) []resource {
	return list(resource{"system": "urn:example:" + kind, "value": fmt.Sprintf("%s-%08d", kind, s.n)})
}

func patient(s *story) resource {
	return resource{
		"text": s.narrative("Patient"), "identifier": s.identifier("mrn"), "active": true, "name": s.name(),
		"gender": s.pick("female", "male", "other", "unknown"), "birthDate": fmt.Sprintf("%d-%02d-%02d", 1930+s.IntN(90), 1+s.IntN(12), 1+s.IntN(28)),
		"address": s.address(), "telecom": list(resource{"system": "phone", "value": fmt.Sprintf("+44 7700 %06d", s.change.IntN(1_000_000))}),
		"managingOrganization": s.ref("Organization"), "generalPractitioner": list(s.ref("Practitioner")),
	}
}

func practitioner(s *story) resource {
	return resource{
		"identifier": s.identifier("npi"), "active": s.version%2 == 1, "name": s.name(), "gender": s.pick("female", "male"),
		"qualification": list(resource{"code": coded("http://terminology.hl7.org/CodeSystem/v2-0360", s.pick("MD", "RN", "PHD"), s.remark())}),
	}
}

func organization(s *story) resource {
	return resource{
		"identifier": s.identifier("org"), "active": true, "name": s.city() + " " + s.pick("General", "Klinikum", "病院", "Clínica"),
		"address": s.address(), "alias": []string{s.remark()},
	}
}

func location(s *story) resource {
	return resource{
		"status": s.turn("active", "suspended", "inactive"), "name": s.pick("Ward", "Theatre", "Étage", "病棟") + fmt.Sprintf(" %d", s.IntN(60)),
		"position":             resource{"longitude": s.amount(180), "latitude": s.amount(90)},
		"managingOrganization": s.ref("Organization"), "description": s.remark(),
	}
}

func coverage(s *story) resource {
	return resource{
		"identifier": s.identifier("policy"), "status": s.turn("active", "cancelled", "draft"), "beneficiary": s.ref("Patient"),
		"payor": list(s.ref("Organization")), "period": resource{"start": s.day()}, "order": 1 + s.IntN(3),
		"class": list(resource{"type": coded("http://terminology.hl7.org/CodeSystem/coverage-class", "plan", "Plan"), "value": s.turn("basic", "plus", "familia ♥")}),
	}
}

func claim(s *story) resource {
	items := make([]resource, 0, 4)
	for i := range 1 + s.IntN(4) {
		items = append(items, resource{
			"sequence": i + 1, "productOrService": coded("urn:example:tariff", fmt.Sprintf("T%03d", s.IntN(500)), s.pick("Consultation", "Wundversorgung", "検査")),
			"quantity": resource{"value": 1 + s.IntN(5)}, "unitPrice": resource{"value": s.amount(400), "currency": "EUR"},
		})
	}
	return resource{
		"status": s.turn("active", "draft", "cancelled"), "type": coded("http://terminology.hl7.org/CodeSystem/claim-type", "professional", "Professional"),
		"use": "claim", "patient": s.ref("Patient"), "created": s.day(), "provider": s.ref("Practitioner"),
		"priority":  coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal", "Normal"),
		"insurance": list(resource{"sequence": 1, "focal": true, "coverage": s.ref("Coverage")}), "item": items,
		"total": resource{"value": s.amount(2_000), "currency": "EUR"},
	}
}

func appointment(s *story) resource {
	return resource{
		"status": s.turn("booked", "arrived", "fulfilled", "noshow"), "start": s.when(1), "minutesDuration": 15 * (1 + s.IntN(4)),
		"comment": s.remark(), "participant": list(
			resource{"actor": s.ref("Patient"), "status": "accepted"}, resource{"actor": s.ref("Practitioner"), "status": "accepted"}),
	}
}
