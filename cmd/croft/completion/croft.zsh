#compdef croft
# Completion of croft for zsh: source <(croft completion zsh)
_croft() {
    local line name
    local -a lines offered
    lines=("${(@f)$("${words[1]}" __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in "${lines[@]}"; do
        case $line in
            '') ;;
            :files) _files ;;
            :command\ *)
                shift ${line#:command } words
                (( CURRENT -= ${line#:command } ))
                _normal
                return
                ;;
            *)
                name=${line%%$'\t'*}
                offered+=("${name//:/\\:}:${line#$name}")
                ;;
        esac
    done
    offered=("${(@)offered/:$'\t'/:}")
    (( $#offered )) && _describe -t croft croft offered
}
(( $+functions[compdef] )) && compdef _croft croft
