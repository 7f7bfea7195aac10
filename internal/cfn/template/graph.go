package template

// Graph says in which order resources are created; they are deleted in the reverse.
type Graph struct {
	// Order holds every logical id behind the ones it depends on; where there is a choice, in the template's order.
	Order        []string
	dependencies map[string][]string
	dependents   map[string][]string
}

// Dependencies returns what id depends on, in the template's order.
func (g *Graph) Dependencies(id string) []string { return g.dependencies[id] }

// Dependents returns what depends on id, in the template's order.
func (g *Graph) Dependents(id string) []string { return g.dependents[id] }

// Graph returns the resources' dependencies, by reference and by DependsOn. A DependsOn on a resource that its condition leaves
// out does not count.
func (b *Bound) Graph() (*Graph, error) {
	g := &Graph{dependencies: map[string][]string{}, dependents: map[string][]string{}}
	nodes := make([]string, len(b.resources))
	for i, r := range b.resources {
		nodes[i] = r.LogicalID
		on := keySet{}
		for _, ref := range b.references[r.LogicalID] {
			on.add(ref.Name)
		}
		for _, d := range r.DependsOn {
			on.add(d)
		}
		for _, other := range b.resources {
			if _, ok := on[other.LogicalID]; ok {
				g.dependencies[r.LogicalID] = append(g.dependencies[r.LogicalID], other.LogicalID)
				g.dependents[other.LogicalID] = append(g.dependents[other.LogicalID], r.LogicalID)
			}
		}
	}
	order, cycle := topological(nodes, g.dependencies)
	if len(cycle) > 0 {
		return nil, errorAt(b.exists[cycle[0]].Pos, "Circular dependency between resources: %s", quoteList(cycle))
	}
	g.Order = order
	return g, nil
}

// topological orders nodes so that each comes behind its dependencies. When that cannot be, it returns the nodes that lie on
// cycles or between them.
func topological(nodes []string, dependencies map[string][]string) (order, cycle []string) {
	order = prune(nodes, dependencies)
	if len(order) == len(nodes) {
		return order, nil
	}
	free := keySet{}
	for _, n := range order {
		free.add(n)
	}
	var stuck []string
	reversed := map[string][]string{}
	for _, n := range nodes {
		if _, ok := free[n]; ok {
			continue
		}
		stuck = append(stuck, n)
		for _, d := range dependencies[n] {
			if _, ok := free[d]; !ok {
				reversed[d] = append(reversed[d], n)
			}
		}
	}
	free = keySet{}
	for _, n := range prune(stuck, reversed) {
		free.add(n)
	}
	for _, n := range stuck {
		if _, ok := free[n]; !ok {
			cycle = append(cycle, n)
		}
	}
	return nil, cycle
}

// prune takes nodes away that have no dependencies left, until there are none, and returns them in that order.
func prune(nodes []string, dependencies map[string][]string) []string {
	waiting := make(map[string]int, len(nodes))
	dependents := make(map[string][]string, len(nodes))
	for _, n := range nodes {
		waiting[n] = len(dependencies[n])
		for _, d := range dependencies[n] {
			dependents[d] = append(dependents[d], n)
		}
	}
	var order []string
	for _, n := range nodes {
		if waiting[n] == 0 {
			order = append(order, n)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, n := range dependents[order[i]] {
			if waiting[n]--; waiting[n] == 0 {
				order = append(order, n)
			}
		}
	}
	return order
}
