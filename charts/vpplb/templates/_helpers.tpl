{{/* What names in the release's namespace start with: short enough for a Service's name, and still
     one release's alone where it had to be cut. */}}
{{- define "vpplb.fullname" -}}
{{- $name := default .Release.Name .Values.fullnameOverride | replace "." "-" -}}
{{- if gt (len $name) 50 -}}
{{- $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* What names start with that the whole cluster shares, and those in namespaces of others: no two
     releases have the same, since no namespace has a dot in its name. */}}
{{- define "vpplb.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "vpplb.fullname" .) -}}
{{- end -}}

{{/* The image: with its digest where one is given, which is what counts then. */}}
{{- define "vpplb.image" -}}
{{- $tag := default (ternary "" .Chart.AppVersion (ne .Values.image.digest "")) .Values.image.tag -}}
{{- .Values.image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* Labels that select pods, which never change: (dict "root" . "component" "agent"). */}}
{{- define "vpplb.selector" -}}
app.kubernetes.io/name: vpplb
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object: (dict "root" . "component" "agent"). */}}
{{- define "vpplb.labels" -}}
{{- $own := fromYaml (include "vpplb.selector" .) -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- toYaml (merge $own .root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of a pod. No version is in them: a chart that changes nothing in a pod restarts none. */}}
{{- define "vpplb.podLabels" -}}
{{- $own := fromYaml (include "vpplb.selector" .) -}}
{{- $more := (get .root.Values .component | default dict).podLabels | default dict -}}
{{- toYaml (merge $own $more .root.Values.commonLabels) -}}
{{- end -}}

{{/* Name of a component's ServiceAccount: (dict "root" . "component" "agent"). */}}
{{- define "vpplb.account" -}}
{{- $account := (get .root.Values .component).serviceAccount -}}
{{- if not (or $account.create $account.name) -}}
{{- fail (printf "%s.serviceAccount.create is false, so %s.serviceAccount.name has to name one that exists" .component .component) -}}
{{- end -}}
{{- default (printf "%s-%s" (include "vpplb.fullname" .root) .component) $account.name -}}
{{- end -}}

{{/* Who and where a pod is, from the downward API. */}}
{{- define "vpplb.identity" -}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}

{{/* Flags of the HTTP server that both programs have. */}}
{{- define "vpplb.httpArgs" -}}
{{- if and (ne .Values.http.auth "none") (not .Values.http.tlsSecret) -}}
{{- fail "http.auth needs http.tlsSecret: tokens are taken over TLS alone" -}}
{{- end -}}
{{- if .Values.http.tlsSecret -}}
- --http-tls-cert=/etc/vpplb/tls/tls.crt
- --http-tls-key=/etc/vpplb/tls/tls.key
{{- end -}}
{{- if ne .Values.http.auth "none" }}
- --http-auth={{ .Values.http.auth }}
{{- end -}}
{{- end -}}

{{/* Where its certificate is. */}}
{{- define "vpplb.httpMount" -}}
{{- if .Values.http.tlsSecret -}}
- {name: http-tls, mountPath: /etc/vpplb/tls, readOnly: true}
{{- end -}}
{{- end -}}
{{- define "vpplb.httpVolume" -}}
{{- with include "vpplb.tlsSecret" . -}}
- name: http-tls
  secret: {secretName: {{ . | quote }}}
{{- end -}}
{{- end -}}

{{/* The Secret of a program's certificate: of `root` and `component`. */}}
{{- define "vpplb.tlsSecret" -}}
{{- with .root.Values.http -}}
{{- if and .agentTlsSecret (not .tlsSecret) -}}
{{- fail "http.agentTlsSecret needs http.tlsSecret" -}}
{{- end -}}
{{- if eq $.component "agent" }}{{ .agentTlsSecret | default .tlsSecret }}{{ else }}{{ .tlsSecret }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Where traces go, as variables of OpenTelemetry; nothing where there is no endpoint. */}}
{{- define "vpplb.traces" -}}
{{- with .Values.traces -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- with .headersSecret.name }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.traces.headersSecret.key | quote }}}}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .sampling | quote }}
{{- end }}
{{- end -}}

{{/* Probes of the HTTP port that both programs have. */}}
{{- define "vpplb.probes" -}}
{{- $tls := ternary ", scheme: HTTPS" "" (ne .Values.http.tlsSecret "") -}}
startupProbe:
  httpGet: {path: /healthz, port: http{{ $tls }}}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http{{ $tls }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http{{ $tls }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* What a pod's placement adds to its spec: (dict "values" .Values.agent). */}}
{{- define "vpplb.placement" -}}
{{- $placement := dict -}}
{{- range $field := list "priorityClassName" "nodeSelector" "tolerations" "affinity" -}}
{{- with get $.values $field }}{{ $_ := set $placement $field . }}{{ end -}}
{{- end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The beginning of a pod's spec that all pods have. */}}
{{- define "vpplb.podStart" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{ end -}}
enableServiceLinks: false
{{- end -}}
