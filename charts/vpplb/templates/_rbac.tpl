{{/* Access for a component's ServiceAccount, named `name`: (dict "root" . "component" "agent"
     "name" "…" "namespace" "" "rules" "…"). Without a namespace: in the whole cluster. */}}
{{- define "vpplb.access" -}}
{{- $scope := ternary "" "Cluster" (ne .namespace "") -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "vpplb.account" . | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
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
{{- $name := printf "%s-%s" (include "vpplb.fullname" .root) .component -}}
{{- $clusterName := printf "%s-%s" (include "vpplb.clusterName" .root) .component -}}
{{- $all := not .root.Values.namespaces -}}
{{- $account := (get .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "vpplb.account" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{- include "vpplb.labels" . | nindent 4 }}
  {{- with $account.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
---
{{ end }}
{{- include "vpplb.access" (merge (dict "name" $name "namespace" .root.Release.Namespace "rules" .here) .) }}
---
{{- $more := ternary .objects (include "vpplb.seeNamespaces" .root) $all }}
{{ include "vpplb.access" (merge (dict "name" $clusterName "namespace" "" "rules" (printf "%s\n%s" .cluster $more)) .) }}
{{- range .root.Values.namespaces }}
---
{{ include "vpplb.access" (merge (dict "name" $clusterName "namespace" . "rules" $.objects) $) }}
{{- end }}
{{- end -}}
