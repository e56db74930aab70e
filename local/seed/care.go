package seed

import (
	"encoding/base64"
	"fmt"
)

func (s *story) ofPatient() resource {
	return resource{"subject": s.ref("Patient"), "encounter": s.ref("Encounter")}
}

func encounter(s *story) resource {
	return resource{
		"status": s.turn("in-progress", "finished", "onleave"), "subject": s.ref("Patient"), "serviceProvider": s.ref("Organization"),
		"class":  resource{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": s.pick("AMB", "IMP", "EMER")},
		"period": resource{"start": s.when(2)}, "location": list(resource{"location": s.ref("Location")}),
		"participant": list(resource{"individual": s.ref("Practitioner")}), "reasonCode": list(resource{"text": s.remark()}),
	}
}

func condition(s *story) resource {
	r := s.ofPatient()
	r["clinicalStatus"] = coded("http://terminology.hl7.org/CodeSystem/condition-clinical", s.turn("active", "remission", "resolved"), "Clinical status")
	r["code"] = coded("http://snomed.info/sct", s.pick("44054006", "38341003", "195967001", "73211009"), s.pick("Diabetes", "Hypertonie", "Asthme", "糖尿病"))
	r["recordedDate"] = s.day()
	r["note"] = list(resource{"text": s.remark()})
	return r
}

func observation(s *story) resource {
	r := s.ofPatient()
	r["status"] = s.turn("preliminary", "final", "amended")
	r["effectiveDateTime"] = s.when(3)
	r["performer"] = list(s.ref("Practitioner"))
	switch s.IntN(3) {
	case 0:
		r["code"] = coded("http://loinc.org", "85354-9", "Blood pressure")
		r["component"] = list(
			resource{"code": coded("http://loinc.org", "8480-6", "Systolic"), "valueQuantity": quantity(s.measured(200), "mmHg")},
			resource{"code": coded("http://loinc.org", "8462-4", "Diastolic"), "valueQuantity": quantity(s.measured(120), "mmHg")})
	case 1:
		r["code"] = coded("http://loinc.org", "29463-7", "Body weight")
		r["valueQuantity"] = quantity(s.measured(140), "kg")
	default:
		r["code"] = coded("http://loinc.org", "2339-0", "Glucose")
		r["valueQuantity"] = quantity(s.measured(300), "mg/dL")
		r["note"] = list(resource{"text": s.remark()})
	}
	return r
}

func quantity(value decimal, unit string) resource {
	return resource{"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
}

func procedure(s *story) resource {
	r := s.ofPatient()
	r["status"] = s.turn("preparation", "in-progress", "completed")
	r["code"] = coded("http://snomed.info/sct", s.pick("80146002", "387713003", "232717009"), s.pick("Appendectomy", "Chirurgie", "冠動脈バイパス術"))
	r["performedDateTime"] = s.when(2)
	r["note"] = list(resource{"text": s.remark()})
	return r
}

func medicationRequest(s *story) resource {
	r := s.ofPatient()
	r["status"] = s.turn("active", "on-hold", "completed", "stopped")
	r["intent"] = "order"
	r["medicationCodeableConcept"] = coded("http://www.nlm.nih.gov/research/umls/rxnorm", s.pick("860975", "314076", "197361"), s.pick("Metformin 500 mg", "Lisinopril 10 mg", "Amlodipin 5 mg"))
	r["authoredOn"] = s.when(1)
	r["dosageInstruction"] = list(resource{"text": s.remark(), "doseAndRate": list(resource{"doseQuantity": quantity(s.amount(10), "mg")})})
	return r
}

func immunization(s *story) resource {
	return resource{
		"status": s.turn("completed", "not-done", "entered-in-error"), "patient": s.ref("Patient"), "occurrenceDateTime": s.when(1),
		"vaccineCode": coded("http://hl7.org/fhir/sid/cvx", s.pick("140", "207", "03"), s.pick("Influenza", "COVID-19", "MMR")),
		"lotNumber":   fmt.Sprintf("L%06d", s.IntN(1_000_000)), "note": list(resource{"text": s.remark()}),
	}
}

func diagnosticReport(s *story) resource {
	r := s.ofPatient()
	results := make([]resource, 0, 6)
	for range 1 + s.IntN(6) {
		results = append(results, s.ref("Observation"))
	}
	r["text"], r["status"], r["result"] = s.narrative("Report"), s.turn("registered", "preliminary", "final"), results
	r["code"] = coded("http://loinc.org", "58410-2", "CBC panel")
	r["issued"] = s.when(1)
	r["conclusion"] = s.remark()
	return r
}

func allergyIntolerance(s *story) resource {
	return resource{
		"patient": s.ref("Patient"), "criticality": s.turn("low", "high", "unable-to-assess"), "recordedDate": s.day(),
		"code":     coded("http://snomed.info/sct", s.pick("91935009", "91936005"), s.pick("Peanut", "Penicillin", "そば")),
		"reaction": list(resource{"manifestation": list(resource{"text": s.remark()}), "severity": s.pick("mild", "moderate", "severe")}),
	}
}

func carePlan(s *story) resource {
	r := s.ofPatient()
	r["text"], r["status"], r["intent"] = s.narrative("Plan"), s.turn("draft", "active", "completed"), "plan"
	r["title"] = s.pick("Diabetes self management", "Plan de cuidados", "在宅看護計画")
	r["activity"] = list(resource{"detail": resource{"status": s.turn("scheduled", "completed"), "description": s.remark()}})
	return r
}

func serviceRequest(s *story) resource {
	r := s.ofPatient()
	r["status"], r["intent"], r["authoredOn"] = s.turn("draft", "active", "completed"), "order", s.when(1)
	r["code"] = coded("http://snomed.info/sct", "306206005", s.pick("Referral to service", "Überweisung"))
	r["note"] = list(resource{"text": s.remark()})
	return r
}

// documentReference carries the long lines: one in fifty is around 100 kB.
func documentReference(s *story) resource {
	size := 200 + s.IntN(2_000)
	if s.n%50 == 7 {
		size = 60_000 + s.IntN(30_000)
	}
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(s.Uint32())
	}
	return resource{
		"status": "current", "docStatus": s.turn("preliminary", "final", "amended"), "subject": s.ref("Patient"), "description": s.remark(),
		"content": list(resource{"attachment": resource{
			"contentType": "application/octet-stream", "title": s.pick("scan.bin", "Röntgen.bin", "写真.bin"), "data": base64.StdEncoding.EncodeToString(content)}}),
	}
}
