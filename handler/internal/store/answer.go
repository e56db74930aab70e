package store

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// refusedWith reports whether the service answered with one of the statuses.
func refusedWith(err error, statuses ...int) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && slices.Contains(statuses, statusOf(response))
}

// why is a service's refusal in one line, as an operator reads it; the client's own text is a page that begins with the
// request.
func why(err error) error {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		return err
	}
	return fmt.Errorf("%d %s", response.StatusCode, cmp.Or(response.ErrorCode, http.StatusText(response.StatusCode)))
}

// innerStatus finds the status of a part of a multipart answer.
var innerStatus = regexp.MustCompile(`(?m)^HTTP/1\.1 ([45][0-9]{2}) `)

// statusOf is the status of an answer. A refused transaction is answered 202, and the refusal is within (the client
// hands the outer answer back as the error).
func statusOf(response *azcore.ResponseError) int {
	if response.StatusCode != http.StatusAccepted || response.RawResponse == nil {
		return response.StatusCode
	}
	body, err := runtime.Payload(response.RawResponse)
	if err != nil {
		return response.StatusCode
	}
	if found := innerStatus.FindSubmatch(body); found != nil {
		if status, err := strconv.Atoi(string(found[1])); err == nil {
			return status
		}
	}
	return response.StatusCode
}

// thereAlready reports whether a creation was refused because the table, queue or container exists. One that is being
// deleted is refused with the same status, and is not there.
func thereAlready(err error) bool {
	var response *azcore.ResponseError
	codes := []string{"TableAlreadyExists", "QueueAlreadyExists", "ContainerAlreadyExists", "ResourceAlreadyExists"}
	return errors.As(err, &response) && response.StatusCode == http.StatusConflict && slices.Contains(codes, response.ErrorCode)
}
