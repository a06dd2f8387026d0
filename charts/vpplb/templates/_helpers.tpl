{{/* What names start with. */}}
{{- define "vpplb.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The image with its tag. */}}
{{- define "vpplb.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{/* Labels that select pods: (dict "root" . "component" "agent"). */}}
{{- define "vpplb.selector" -}}
app.kubernetes.io/name: vpplb
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* All labels: (dict "root" . "component" "agent"). */}}
{{- define "vpplb.labels" -}}
{{ include "vpplb.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
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

{{/* Probes of the HTTP port that both programs have. */}}
{{- define "vpplb.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* Access for a component's ServiceAccount, named `name`: (dict "root" . "component" "agent"
     "name" "…" "namespace" "" "rules" "…"). Without a namespace: in the whole cluster. */}}
{{- define "vpplb.access" -}}
{{- $scope := ternary "" "Cluster" (ne .namespace "") -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "vpplb.fullname" .root }}-{{ .component }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{/* With a list of namespaces: to tell one that is gone from one that may not be seen. */}}
{{- define "vpplb.seeNamespaces" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: {{ toJson .Values.namespaces }}
  verbs: [get]
{{- end -}}

{{/* All that a component may do: its own rules in the release's namespace and in the cluster, and
     those for users' objects in each of the namespaces, or in all: (dict "root" . "component"
     "agent" "here" "…" "cluster" "…" "objects" "…"). */}}
{{- define "vpplb.rbac" -}}
{{- $full := printf "%s-%s" (include "vpplb.fullname" .root) .component -}}
{{- $all := not .root.Values.namespaces -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $full }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
  {{- with .root.Values.serviceAccounts.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
---
{{ include "vpplb.access" (merge (dict "name" $full "namespace" .root.Release.Namespace "rules" .here) .) }}
---
{{- $more := ternary .objects (include "vpplb.seeNamespaces" .root) $all }}
{{ include "vpplb.access" (merge (dict "name" $full "namespace" "" "rules" (printf "%s\n%s" .cluster $more)) .) }}
{{- range .root.Values.namespaces }}
---
{{ include "vpplb.access" (merge (dict "name" (printf "%s-objects" $full) "namespace" . "rules" $.objects) $) }}
{{- end }}
{{- end -}}
